// SPDX-License-Identifier: MIT OR Apache-2.0

//! The display and the context that the element shares with its neighbours and the application, as
//! `GstGLBaseFilter` does.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use gst::prelude::*;
use gst_gl::{
    GLAPI, GLContext, GLDisplay, GLSyncMeta, gl_handle_context_query, gl_handle_set_context,
    prelude::*,
};

use super::Error;
use crate::cycleganfilter::lock;

/// The types of `GstContext`s that GStreamer's GL library uses.
const DISPLAY: &str = "gst.gl.GLDisplay";
const APP_CONTEXT: &str = "gst.gl.app_context";
const LOCAL_CONTEXT: &str = "gst.gl.local_context";

/// What an element knows of OpenGL. The lock is held for moments only: the application sets contexts
/// from within the messages that ask for them.
#[derive(Default)]
pub struct Contexts {
    known: Mutex<Known>,
    traffic: Arc<Traffic>,
}

/// Bytes that have crossed the bus: pictures down to the CPU, residuals up to the GPU.
#[derive(Default)]
pub struct Traffic {
    pub(super) down: AtomicU64,
    pub(super) up: AtomicU64,
}

#[derive(Default)]
struct Known {
    display: Option<GLDisplay>,
    /// The application's, with which ours shares.
    app_context: Option<GLContext>,
    context: Option<GLContext>,
}

impl Contexts {
    /// Takes over what `context` says of OpenGL.
    pub fn set_context(&self, element: &impl IsA<gst::Element>, context: &gst::Context) {
        let (display, app_context) = gl_handle_set_context(element, context);
        let mut known = lock(&self.known);
        if let Some(display) = display {
            known.display = Some(display);
        }
        if let Some(app_context) = app_context {
            known.app_context = Some(app_context);
        }
    }

    /// Answers a context query of a neighbour. Returns whether it is about OpenGL and could be.
    pub fn answer(
        &self,
        element: &impl IsA<gst::Element>,
        query: &mut gst::query::Context,
    ) -> bool {
        let (display, context, app_context) = {
            let known = lock(&self.known);
            (known.display.clone(), known.context.clone(), known.app_context.clone())
        };
        gl_handle_context_query(
            element,
            query,
            display.as_ref(),
            context.as_ref(),
            app_context.as_ref(),
        )
    }

    /// Bytes that have gone down from the GPU and up to it since the element started.
    pub fn traffic(&self) -> (u64, u64) {
        (self.traffic.down.load(Relaxed), self.traffic.up.load(Relaxed))
    }

    /// Where frames count their bytes.
    pub(super) fn counter(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// Waits until what was drawn to `buffer` is there, before the CPU reads it.
    pub fn wait_for(&self, buffer: &gst::BufferRef) {
        if let (Some(meta), Some(context)) = (buffer.meta::<GLSyncMeta>(), self.current()) {
            meta.wait_cpu(&context);
        }
    }

    /// The context that was found.
    pub fn current(&self) -> Option<GLContext> {
        lock(&self.known).context.clone()
    }

    /// The context for `element`: that of a neighbour, else one of the display, else a new one.
    pub fn find(&self, element: &impl IsA<gst::Element>) -> Result<GLContext, Error> {
        let element = element.upcast_ref::<gst::Element>();
        if let Some(context) = self.current() {
            return Ok(context);
        }
        let display = self.find_display(element);
        let context = match neighbours_context(element, &display) {
            Some(context) => context,
            None => self.context_of(&display)?,
        };
        Ok(lock(&self.known).context.get_or_insert(context).clone())
    }

    /// Forgets the context, at the end of the stream.
    pub fn release_context(&self) {
        self.traffic.down.store(0, Relaxed);
        self.traffic.up.store(0, Relaxed);
        let context = lock(&self.known).context.take();
        drop(context);
    }

    /// Forgets everything, on the way to NULL.
    pub fn release(&self) {
        let known = std::mem::take(&mut *lock(&self.known));
        drop(known);
    }

    /// The display: of a neighbour, of the application, or a new one that they are told of.
    fn find_display(&self, element: &gst::Element) -> GLDisplay {
        let display = || lock(&self.known).display.clone();
        if display().is_none() {
            ask_for(element, DISPLAY, || display().is_some());
        }
        let display = display().unwrap_or_else(|| {
            let display = GLDisplay::new();
            display.filter_gl_api(GLAPI::OPENGL | GLAPI::OPENGL3 | GLAPI::GLES2);
            // Sets it for this element as well.
            gst_gl::functions::gl_element_propagate_display_context(element, &display);
            lock(&self.known).display.get_or_insert(display).clone()
        });
        let is_known = || lock(&self.known).app_context.is_some();
        if !is_known() {
            ask_for(element, APP_CONTEXT, is_known);
        }
        display
    }

    /// A context of `display`.
    fn context_of(&self, display: &GLDisplay) -> Result<GLContext, Error> {
        let app_context = lock(&self.known).app_context.clone();
        let guard = display.object_lock();
        loop {
            let context = match GLDisplay::get_gl_context_for_current_thread(&guard) {
                Some(context) => context,
                None => GLDisplay::create_context(&guard, app_context.as_ref())
                    .map_err(|error| Error::NoContext(error.to_string()))?,
            };
            // Another one may have come first.
            if GLDisplay::add_context(&guard, &context).is_ok() {
                return Ok(context);
            }
        }
    }
}

/// Asks the neighbours, then the application, for a context of a kind, until one `is_known`.
fn ask_for(element: &gst::Element, kind: &str, is_known: impl Fn() -> bool) {
    for direction in [gst::PadDirection::Src, gst::PadDirection::Sink] {
        if let Some(context) = query_neighbours(element, direction, kind) {
            element.set_context(&context);
            if is_known() {
                return;
            }
        }
    }
    let message = gst::message::NeedContext::builder(kind).src(element).build();
    let _ = element.post_message(message);
}

/// The context in which a neighbour on `display` works already.
fn neighbours_context(element: &gst::Element, display: &GLDisplay) -> Option<GLContext> {
    [gst::PadDirection::Src, gst::PadDirection::Sink].into_iter().find_map(|direction| {
        let context = query_neighbours(element, direction, LOCAL_CONTEXT)?;
        let context = context.structure().get::<GLContext>("context").ok()?;
        (context.display() == *display).then_some(context)
    })
}

/// The context of a kind that elements upstream or downstream have.
fn query_neighbours(
    element: &gst::Element,
    direction: gst::PadDirection,
    kind: &str,
) -> Option<gst::Context> {
    let pads = element.pads().into_iter().filter(|pad| pad.direction() == direction);
    pads.into_iter().find_map(|pad| {
        let mut query = gst::query::Context::new(kind);
        pad.peer_query(&mut query).then(|| query.context_owned())?
    })
}
