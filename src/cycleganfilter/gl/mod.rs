// SPDX-License-Identifier: MIT OR Apache-2.0

//! Frames in `memory:GLMemory`: they stay on the GPU, and only what the generator sees of them and the
//! residual cross the bus.
//!
//! frame → [`Shrinker`] → small picture in system memory → generator → residual → [`Compositor`] → frame
//!
//! Both draw on the thread of the element's [`Contexts`]. `no_gl.rs` stands in for builds without
//! the feature `gl`.

mod allocation;
mod compositor;
mod contexts;
mod frame;
mod functions;
mod painter;
mod shrinker;
mod thread;

pub use allocation::is_sync_meta;
pub use compositor::Compositor;
pub use contexts::Contexts;
pub use frame::Frame;
pub use shrinker::Shrinker;

use gst_video::{VideoFormat, VideoInterlaceMode};

/// OpenGL cannot do what is needed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no display, or it gives no context.
    #[error("no OpenGL context: {0}")]
    NoContext(String),
    /// The context's version is too old.
    #[error(
        "the context has {0}, expected OpenGL 3.0 or OpenGL ES 3.0 or later; put gldownload before \
         cycleganfilter and glupload behind it"
    )]
    Version(String),
    /// A function is missing.
    #[error("the driver has no {0}, which OpenGL 3.0 and OpenGL ES 3.0 have")]
    NoFunction(&'static str),
    /// The driver refuses a shader.
    #[error("the driver refuses a shader: {0}")]
    Shader(String),
    /// A call failed.
    #[error("{0} failed with 0x{1:04x}")]
    Call(&'static str, u32),
    /// The context is gone.
    #[error("the GL context's thread has ended")]
    Ended,
    /// A frame is not as its caps say, or cannot be described.
    #[error("{0}")]
    Frame(String),
    /// A frame's context has nothing to do with the element's.
    #[error(
        "the frame's GL context shares nothing with that of the element; put both into one pipeline, or \
         give both the same display and application context"
    )]
    NotShared,
    /// A pool of textures cannot be had.
    #[error(transparent)]
    Pool(#[from] gst::glib::BoolError),
}

impl Error {
    /// Whether one frame is wrong, and others may be right.
    pub fn is_of_frame(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

/// What the pads take besides system memory.
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
    caps.features(0)
        .is_some_and(|features| features.contains(gst_gl::CAPS_FEATURE_MEMORY_GL_MEMORY))
}

/// `caps` with all frames in system memory.
pub fn in_system_memory(mut caps: gst::Caps) -> gst::Caps {
    let count = caps.size();
    for index in 0..count {
        caps.make_mut().set_features(index, None);
    }
    caps
}

/// `caps` of system memory, and the same in GL memory.
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
