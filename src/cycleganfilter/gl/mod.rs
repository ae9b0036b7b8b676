// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames in `memory:GLMemory`. They stay on the GPU: only the generator's small pictures are
//! downloaded and only the residuals are uploaded.
//!
//! frame → [`Scaler`] → small pictures in system memory → generator → residuals → [`Compositor`] → frame
//!
//! Both draw on the thread of the GL context in [`Contexts`]. `no_gl.rs` replaces this module in
//! builds without the feature `gl`.

mod allocation;
mod canvas;
mod compositor;
mod contexts;
mod frame;
mod functions;
mod layer;
mod renderer;
mod scaler;
mod scaling;
mod thread;

pub use allocation::is_sync_meta;
pub use compositor::Compositor;
pub use contexts::Contexts;
pub use frame::Frame;
pub use scaler::Scaler;

use gst_video::{VideoFormat, VideoInterlaceMode};

/// What to do if OpenGL lacks something.
const ON_CPU: &str =
    "put gldownload before cycleganfilter and glupload after it to translate on the CPU";
/// What to do if OpenGL has stopped working.
const RESTART: &str = "restart the pipeline";

/// An OpenGL error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no display, or it provides no context.
    #[error("no OpenGL context: {0}; {ON_CPU}")]
    NoContext(String),
    /// The context's version is too old.
    #[error(
        "the context has {0}, expected OpenGL 3.2 or OpenGL ES 3.0 or later, or OpenGL 3.0 with \
         GL_ARB_sync; {ON_CPU}"
    )]
    Version(String),
    /// A function of OpenGL is missing.
    #[error(
        "the driver has no {0}, which is part of OpenGL 3.2 and OpenGL ES 3.0; update it, or {ON_CPU}"
    )]
    NoFunction(&'static str),
    /// The driver rejects a shader.
    #[error("the driver rejects a shader: {0}; update the driver, or {ON_CPU}")]
    Shader(String),
    /// A call failed.
    #[error("{0} failed with OpenGL error 0x{1:04x}; {ON_CPU}")]
    Call(&'static str, u32),
    /// The GPU was reset.
    #[error("the GPU was reset and the GL context is lost; {RESTART}")]
    Lost,
    /// The GPU hangs.
    #[error("the GPU has not finished a frame for {} s; {RESTART}", .0.as_secs())]
    Stuck(std::time::Duration),
    /// The context was destroyed.
    #[error(
        "the GL context of the frames or of cycleganfilter was destroyed together with its window; {RESTART}"
    )]
    Ended,
    /// A frame does not fit its caps, or could not be mapped.
    #[error("{0}")]
    Frame(String),
    /// A frame's context does not share with the element's.
    #[error(
        "the frame's GL context cannot share with the element's; put the frame's source into the same \
         pipeline, or set the same display and application context on both"
    )]
    NotShared,
    /// A pool of textures could not be set up.
    #[error(transparent)]
    Pool(#[from] gst::glib::BoolError),
}

impl Error {
    /// The error of a `call` that failed with `code`.
    fn of_call(call: &'static str, code: u32) -> Self {
        match code {
            functions::constants::CONTEXT_LOST => Self::Lost,
            _ => Self::Call(call, code),
        }
    }

    /// Whether only this frame is at fault.
    pub fn is_of_frame(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

/// The caps for GL memory.
pub fn caps() -> Option<gst::Caps> {
    Some(
        gst_video::VideoCapsBuilder::new()
            .features([gst_gl::CAPS_FEATURE_MEMORY_GL_MEMORY])
            .format(VideoFormat::Rgba)
            .field("interlace-mode", VideoInterlaceMode::Progressive.to_str())
            .field("texture-target", "2D")
            .build(),
    )
}

/// Whether frames of `caps` are in GL memory.
pub fn is_gl(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(is_in_gl)
}

/// Whether `features` are those of frames in GL memory.
pub fn is_in_gl(features: &gst::CapsFeaturesRef) -> bool {
    features.contains(gst_gl::CAPS_FEATURE_MEMORY_GL_MEMORY)
}

/// `caps` with system memory in place of GL memory.
pub fn in_system_memory(mut caps: gst::Caps) -> gst::Caps {
    let count = caps.size();
    for index in 0..count {
        caps.make_mut().set_features(index, None);
    }
    caps
}

/// `caps`, which are for system memory, and the same for GL memory.
pub fn in_any_memory(mut caps: gst::Caps) -> gst::Caps {
    let in_gl = caps.iter().map(|structure| {
        let mut structure = structure.to_owned();
        structure.set("texture-target", "2D");
        (structure, gst_gl::CAPS_FEATURES_MEMORY_GL_MEMORY.clone())
    });
    let in_gl = in_gl.collect::<gst::Caps>();
    caps.merge(in_gl);
    caps
}
