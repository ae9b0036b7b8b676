// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks which pages may open a connection.
//!
//! A page of any site can open a WebSocket to this machine; its `Origin` header shows the site. A site can also make its
//! own name resolve to this machine (DNS rebinding), so that `Origin` and `Host` agree. Therefore the name is checked
//! too.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// The names under which the page may be reached.
pub struct Hosts(Vec<String>);

impl Hosts {
    /// `names`, in addition to localhost and IP addresses.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Checks that a request comes from this server's page; otherwise returns what is wrong.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).ok_or("the request has no Host header")?;
        let origin = text(header::ORIGIN).ok_or("the request has no Origin header")?;
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !from.is_some_and(|from| from.eq_ignore_ascii_case(host)) {
            return Err(format!("a page of {origin} may not connect to {host}"));
        }
        let name = without_port(host);
        let known = name.eq_ignore_ascii_case("localhost")
            || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name));
        known.then_some(()).ok_or_else(|| {
            format!("{name} is not a name of this server; --host {name} makes it one")
        })
    }
}

/// The host in `host:port`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: &str) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if !origin.is_empty() {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        Hosts::new(vec!["example.org".to_owned()]).check(&headers)
    }

    #[test]
    fn the_servers_own_page_may_connect() {
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[::1]", "http://[::1]"),
            ("example.org", "https://example.org"),
        ] {
            assert_eq!(check(host, origin), Ok(()));
        }
    }

    #[test]
    fn pages_of_other_sites_may_not_connect() {
        for (host, origin, found) in [
            ("127.0.0.1:8080", "https://example.net", "example.net"),
            // Another server on this machine.
            ("127.0.0.1:8080", "http://127.0.0.1:9090", "9090"),
            ("127.0.0.1:8080", "null", "null"),
            ("127.0.0.1:8080", "", "no Origin"),
            // DNS rebinding.
            ("rebound.example.net:8080", "http://rebound.example.net:8080", "--host"),
        ] {
            let error = check(host, origin).unwrap_err();
            assert!(error.contains(found), "{host} {origin}: {error}");
        }
    }
}
