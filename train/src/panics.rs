// SPDX-License-Identifier: MIT OR Apache-2.0

//! Turns panics into one-line errors: the binding to libtorch panics if an operation fails, for example
//! when memory runs out.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook},
    sync::Mutex,
};

use anyhow::{Result, anyhow};

/// Source location of the last panic that became an error.
static PLACE: Mutex<String> = Mutex::new(String::new());

thread_local! {
    /// Whether a panic of this thread becomes an error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Also makes panics of this thread errors of the thread that called [`catch_panics`], without printing them.
pub fn catch_in_this_thread() {
    CAUGHT.set(true);
}

/// Runs `command`; if it panics, the reason is an error and nothing is printed.
pub fn catch_panics(command: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_in_this_thread();
    let usual = std::panic::take_hook();
    set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if !CAUGHT.get() {
            return usual(info);
        }
        if let (Ok(mut place), Some(at)) = (PLACE.lock(), info.location()) {
            *place = format!("{}:{}", at.file(), at.line());
        }
    }));
    catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        let place = PLACE.lock().map(|p| p.clone()).unwrap_or_default();
        Err(anyhow!(describe(&message(panic.as_ref()), &place)))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".to_owned())
}

fn describe(message: &str, place: &str) -> String {
    let Some((_, of_torch)) = message.split_once("Torch(\"") else {
        let line = message.lines().next().unwrap_or_default();
        return format!("a bug in cyclegan-train, please report it: {line} ({place})");
    };
    // libtorch gives the reason in the first line; a C++ backtrace follows.
    let line = of_torch.split("\\n").next().unwrap_or(of_torch);
    let line = line.trim_end_matches("\")").replace("\\\"", "\"");
    let full = ["out of memory", "allocate memory"].iter().any(|words| line.contains(words));
    let hint = if full {
        "; lower --batch-size, --crop-size, --ngf or --ndf, or stop other programs that use the memory"
    } else {
        ""
    };
    format!("libtorch: {line}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_errors_become_one_line() {
        let failed = catch_panics(|| {
            let [a, b] = [2, 3].map(|n| tch::Tensor::zeros([n, n], tch::kind::FLOAT_CPU));
            let _ = a.matmul(&b);
            Ok(())
        });
        let error = failed.unwrap_err().to_string();
        assert!(error.starts_with("libtorch: ") && error.contains("2x2 and 3x3"), "{error}");
        assert!(!error.contains('\n') && !error.contains("frame #"), "{error}");
    }

    #[test]
    fn running_out_of_memory_says_what_to_lower() {
        let panic = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. \
                     Tried to allocate 2.00 GiB.\\nException raised from malloc\")";
        let said = describe(panic, "step.rs:1");
        assert!(said.starts_with("libtorch: CUDA out of memory. Tried"), "{said}");
        assert!(said.contains("--batch-size") && !said.contains("Exception"), "{said}");
    }

    #[test]
    fn other_panics_name_their_location() {
        let said = describe("index out of bounds\nmore", "src/data/order.rs:12");
        assert!(said.contains("index out of bounds (src/data/order.rs:12)"), "{said}");
    }
}
