// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages: the log's category, and what users read of ONNX Runtime's errors.

use std::sync::LazyLock;

/// Messages of and about ONNX Runtime.
pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("onnxruntime", gst::DebugColorFlags::empty(), Some("ONNX Runtime"))
});

/// The message of an error of ONNX Runtime, see [`message_text`].
pub fn reason<R>(error: &ort::Error<R>) -> String {
    message_text(error.message())
}

/// ONNX Runtime's message without the parts that do not help users: error codes, source locations, and the path of the
/// model, which our messages begin with.
fn message_text(message: &str) -> String {
    let text = message.rsplit_once("[ONNXRuntimeError]").map(|(_, text)| text);
    let text = text.and_then(|text| text.splitn(4, " : ").nth(3)).unwrap_or(message);
    let text = match text.split_once(" failed:") {
        Some((start, cause)) if start.starts_with("Load model from ") => cause,
        _ => text,
    };
    without_location(text.trim())
}

/// A message without the first file, line and C++ function in it.
fn without_location(message: &str) -> String {
    let location = message.find("/onnxruntime/core/").and_then(|inside| {
        let start = message[..inside].rfind([' ', ':']).map_or(0, |before| before + 1);
        Some((start, end_of_arguments(&message[start..])? + start))
    });
    let Some((start, end)) = location else { return message.to_owned() };
    let rest = message[end..].trim_start();
    format!("{}{}", &message[..start], rest.strip_prefix("const ").unwrap_or(rest))
}

/// The end of the first pair of parentheses.
fn end_of_arguments(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (c == ')' && depth == 0).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_locations_of_onnx_runtime_are_removed() {
        let message = "/src/provider_bridge_ort.cc:2043 onnxruntime::Provider& Get() \
                       [ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so\n";
        assert_eq!(message_text(message), "Failed to load library x.so");
        assert_eq!(message_text("Unexpected input"), "Unexpected input");
        let message = "Load model from a b.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.h:46 \
                       void onnxruntime::Check(const std::map<std::string, int>&, bool) Opset 99 (ai.onnx) is unknown.";
        assert_eq!(message_text(message), "Opset 99 (ai.onnx) is unknown.");
        let message =
            "Status Message: /b/onnxruntime/core/a.cc:9 A::B(f(int)) const a != b. Cannot reshape.";
        assert_eq!(message_text(message), "Status Message: a != b. Cannot reshape.");
        let cut = "Status Message: /b/onnxruntime/core/a.cc:9 A::B(";
        assert_eq!(message_text(cut), cut);
    }
}
