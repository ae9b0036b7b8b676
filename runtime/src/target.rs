// SPDX-License-Identifier: MIT OR Apache-2.0

//! Targets: a provider, and for OpenVINO one of its devices.

use std::{fmt, fs, path::Path};

use cyclegan_contract::Precision;

use super::provider::Provider;

/// A device of OpenVINO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenVinoDevice {
    /// Intel's GPU of that number.
    Gpu(u32),
    /// Intel's NPU.
    Npu,
    /// Any x86-64 CPU.
    Cpu,
}

impl fmt::Display for OpenVinoDevice {
    /// Its `device_type`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(id) => write!(f, "GPU.{id}"),
            Self::Npu => f.write_str("NPU"),
            Self::Cpu => f.write_str("CPU"),
        }
    }
}

/// A provider, and its device if the provider has several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The provider.
    pub provider: Provider,
    /// OpenVINO's device; `None` for other providers.
    pub device: Option<OpenVinoDevice>,
}

impl From<Provider> for Target {
    fn from(provider: Provider) -> Self {
        Self { provider, device: None }
    }
}

impl From<OpenVinoDevice> for Target {
    fn from(device: OpenVinoDevice) -> Self {
        Self { provider: Provider::OpenVino, device: Some(device) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Some(device) => write!(f, "{} ({device})", self.provider),
            None => write!(f, "{}", self.provider),
        }
    }
}

impl Target {
    /// The targets to try for `provider`, or for `auto` if it is `None`, best first.
    pub fn candidates(provider: Option<Provider>, device_id: i32) -> Vec<Self> {
        let id = u32::try_from(device_id).unwrap_or(0);
        let accelerators = [OpenVinoDevice::Gpu(id), OpenVinoDevice::Npu].map(Self::from);
        match provider {
            // OpenVINO's CPU device is used only if it is faster, see `pair`.
            None => Provider::AUTO
                .into_iter()
                .flat_map(|provider| match provider {
                    Provider::OpenVino => accelerators.to_vec(),
                    provider => vec![provider.into()],
                })
                .collect(),
            // A number other than 0 names a GPU.
            Some(Provider::OpenVino) if id > 0 => vec![OpenVinoDevice::Gpu(id).into()],
            Some(Provider::OpenVino) => {
                accelerators.into_iter().chain([OpenVinoDevice::Cpu.into()]).collect()
            }
            Some(provider) => vec![provider.into()],
        }
    }

    /// The remaining targets after this one has failed.
    pub fn candidates_after(
        self,
        provider: Option<Provider>,
        device_id: i32,
        allow_fallback: bool,
    ) -> Vec<Self> {
        let cpu = Self::from(Provider::Cpu);
        if self == cpu {
            return Vec::new();
        }
        let all = Self::candidates(provider, device_id);
        let rest = all.iter().position(|&target| target == self).map(|at| all[at + 1..].to_vec());
        let mut rest = rest.unwrap_or_default();
        let may_use_cpu = provider.is_none() || allow_fallback;
        if may_use_cpu && !rest.contains(&cpu) {
            rest.push(cpu);
        }
        rest
    }

    /// The arithmetic that it is fastest in.
    pub fn preferred_precision(self) -> Precision {
        match self.device {
            Some(OpenVinoDevice::Cpu) => Precision::Int8,
            _ => self.provider.preferred_precision(),
        }
    }

    /// Whether the machine seems to have the device; true if that is unknown.
    pub fn may_be_present(self) -> bool {
        match self.device {
            Some(OpenVinoDevice::Gpu(_)) => !cfg!(target_os = "linux") || has_intel_gpu(),
            Some(OpenVinoDevice::Npu) => Path::new("/dev/accel/accel0").exists(),
            _ => self.provider.may_have_device(),
        }
    }
}

/// Whether a GPU in sysfs has Intel's PCI vendor number.
fn has_intel_gpu() -> bool {
    let cards = fs::read_dir("/sys/class/drm").into_iter().flatten().flatten();
    let vendor = |card: fs::DirEntry| fs::read_to_string(card.path().join("device/vendor"));
    cards.filter_map(|card| vendor(card).ok()).any(|vendor| vendor.trim() == "0x8086")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(targets: &[Target]) -> Vec<String> {
        targets.iter().map(Target::to_string).collect()
    }

    #[test]
    fn auto_uses_openvino_for_gpus_and_npus_only() {
        assert_eq!(
            names(&Target::candidates(None, 1)),
            ["cuda", "migraphx", "directml", "coreml", "openvino (GPU.1)", "openvino (NPU)", "cpu"]
        );
    }

    #[test]
    fn openvino_has_a_target_for_each_device() {
        let of = |id| names(&Target::candidates(Some(Provider::OpenVino), id));
        assert_eq!(of(0), ["openvino (GPU.0)", "openvino (NPU)", "openvino (CPU)"]);
        assert_eq!(of(2), ["openvino (GPU.2)"]);
        assert_eq!(names(&Target::candidates(Some(Provider::Cuda), 2)), ["cuda"]);
    }

    #[test]
    fn the_cpu_is_tried_last_if_fallback_is_allowed() {
        let after = |target: Target, provider, allow_fallback| {
            names(&target.candidates_after(provider, 0, allow_fallback))
        };
        let cuda = Provider::Cuda;
        assert_eq!(after(cuda.into(), None, false)[0], "migraphx");
        assert_eq!(after(cuda.into(), None, false).last().unwrap(), "cpu");
        assert_eq!(after(cuda.into(), Some(cuda), true), ["cpu"]);
        assert!(after(cuda.into(), Some(cuda), false).is_empty());
        assert!(after(Provider::Cpu.into(), None, true).is_empty());
        let gpu = OpenVinoDevice::Gpu(0).into();
        let openvino = Some(Provider::OpenVino);
        assert_eq!(after(gpu, openvino, false), ["openvino (NPU)", "openvino (CPU)"]);
        // auto does not list OpenVINO's CPU device.
        assert_eq!(after(OpenVinoDevice::Cpu.into(), None, false), ["cpu"]);
    }

    #[test]
    fn gpus_prefer_fp16_and_cpus_int8() {
        assert_eq!(Target::from(Provider::Cpu).preferred_precision(), Precision::Int8);
        assert_eq!(Target::from(OpenVinoDevice::Cpu).preferred_precision(), Precision::Int8);
        assert_eq!(Target::from(OpenVinoDevice::Gpu(0)).preferred_precision(), Precision::Fp16);
        assert_eq!(Target::from(Provider::Cuda).preferred_precision(), Precision::Fp16);
    }
}
