// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a target can be used here, as far as that is known before it is opened.

use std::path::Path;

use super::{
    library::System,
    message::reason,
    provider::{Provider, ProviderOptions},
    runtime,
    target::Target,
    vulkan,
};

/// Why a target cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Whether the runtime has the provider built in.
    pub is_built_in: bool,
    /// Why not, and what to do.
    pub reason: String,
}

/// Fails, with what to do, if `target` is known not to run here. A target that passes may still fail
/// when it is used.
pub fn require(target: Target, options: &ProviderOptions) -> Result<(), Unusable> {
    let unusable = |is_built_in, reason| Unusable { is_built_in, reason };
    let provider = target.provider;
    if !provider.is_built_in().map_err(|error| unusable(false, reason(&error)))? {
        if !provider.exists_on(System::HERE) {
            let reason = format!(
                "it needs {}; set `execution-provider` to auto, or to a provider for this system",
                provider.needs()
            );
            return Err(unusable(false, reason));
        }
        let library = runtime::library().unwrap_or(Path::new("ONNX Runtime"));
        let reason = format!(
            "{} is built without it; install the wheel {} and set ORT_DYLIB_PATH to its {}",
            library.display(),
            provider.wheel(),
            System::HERE.library()
        );
        return Err(unusable(false, reason));
    }
    if provider == Provider::WebGpu {
        webgpu_device(options.device_id).map_err(|reason| unusable(true, reason))?;
        vulkan::require_driver().map_err(|reason| unusable(true, reason))?;
    }
    Ok(())
}

/// The `deviceId` of ONNX Runtime's WebGPU provider is the number of a context of the application, not
/// of a GPU (webgpu_context.cc).
fn webgpu_device(device_id: i32) -> Result<(), String> {
    match device_id {
        0 => Ok(()),
        id => Err(format!(
            "it runs on the system's first GPU and takes no `device-id` ({id}), expected 0; choose \
             the GPU for Vulkan, for example with MESA_VK_DEVICE_SELECT or VK_DRIVER_FILES"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webgpu_refuses_a_device_id() {
        assert_eq!(webgpu_device(0), Ok(()));
        let reason = webgpu_device(1).unwrap_err();
        assert!(reason.contains("`device-id` (1)") && reason.contains("expected 0"), "{reason}");
    }
}
