// SPDX-License-Identifier: MIT OR Apache-2.0

//! The GL display and context that the element shares with its neighbours and the application,
//! negotiated as in `GstGLBaseFilter`.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use gst::prelude::*;
use gst_gl::{
    GLAPI, GLBaseMemory, GLContext, GLDisplay, gl_handle_context_query, gl_handle_set_context,
    prelude::*,
};

use super::{Error, thread::require_alive};
use crate::cycleganfilter::lock;

/// The `GstContext` types of GStreamer's GL library.
const DISPLAY: &str = "gst.gl.GLDisplay";
const APP_CONTEXT: &str = "gst.gl.app_context";
const LOCAL_CONTEXT: &str = "gst.gl.local_context";

/// The element's GL display and contexts. The lock is held only briefly: applications set contexts
/// from within the message that asks for them.
#[derive(Default)]
pub struct Contexts {
    known: Mutex<Known>,
    traffic: Arc<Traffic>,
}

/// Counters of bytes: pictures downloaded from the GPU, residuals uploaded to it.
#[derive(Default)]
pub struct Traffic {
    pub(super) down: AtomicU64,
    pub(super) up: AtomicU64,
}

#[derive(Default)]
struct Known {
    display: Option<GLDisplay>,
    /// The application's context, which the element's context shares with.
    app_context: Option<GLContext>,
    context: Option<GLContext>,
}

impl Contexts {
    /// Stores a display or application context from `context`.
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

    /// Answers a CONTEXT query of a neighbour. Returns whether it did.
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

    /// Bytes downloaded from the GPU, and bytes uploaded to it, since the element started.
    pub fn traffic(&self) -> (u64, u64) {
        (self.traffic.down.load(Relaxed), self.traffic.up.load(Relaxed))
    }

    /// The counters for frames.
    pub(super) fn counter(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// The element's context. Fails if it or that of the frame in `buffer` has ended.
    pub(super) fn for_frame(&self, buffer: &gst::BufferRef) -> Result<GLContext, Error> {
        let Some(context) = self.current() else {
            return Err(Error::NoContext("none was negotiated".to_owned()));
        };
        require_alive(&context)?;
        for memory in buffer.iter_memories() {
            if let Some(memory) = memory.downcast_memory_ref::<GLBaseMemory>() {
                require_alive(memory.context())?;
            }
        }
        Ok(context)
    }

    /// The element's context, if it was already found.
    pub fn current(&self) -> Option<GLContext> {
        lock(&self.known).context.clone()
    }

    /// Finds the context for `element`: that of a neighbour, otherwise one of the display,
    /// otherwise a new one.
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

    /// Drops the context and resets the counters, at stop.
    pub fn release_context(&self) {
        self.traffic.down.store(0, Relaxed);
        self.traffic.up.store(0, Relaxed);
        let context = lock(&self.known).context.take();
        drop(context);
    }

    /// Drops the display and all contexts, on the way to NULL.
    pub fn release(&self) {
        let known = std::mem::take(&mut *lock(&self.known));
        drop(known);
    }

    /// Finds the display: that of a neighbour or of the application, otherwise a new one, which is
    /// announced to them.
    fn find_display(&self, element: &gst::Element) -> GLDisplay {
        let display = || lock(&self.known).display.clone();
        if display().is_none() {
            ask_for(element, DISPLAY, || display().is_some());
        }
        let display = display().unwrap_or_else(|| {
            let display = GLDisplay::new();
            display.filter_gl_api(GLAPI::OPENGL | GLAPI::OPENGL3 | GLAPI::GLES2);
            // This also sets it on this element.
            gst_gl::functions::gl_element_propagate_display_context(element, &display);
            lock(&self.known).display.get_or_insert(display).clone()
        });
        let is_known = || lock(&self.known).app_context.is_some();
        if !is_known() {
            ask_for(element, APP_CONTEXT, is_known);
        }
        display
    }

    /// A context of `display`, a new one if necessary.
    fn context_of(&self, display: &GLDisplay) -> Result<GLContext, Error> {
        let app_context = lock(&self.known).app_context.clone();
        let guard = display.object_lock();
        loop {
            let context = match GLDisplay::get_gl_context_for_current_thread(&guard) {
                Some(context) => context,
                None => GLDisplay::create_context(&guard, app_context.as_ref())
                    .map_err(|error| Error::NoContext(error.to_string()))?,
            };
            // Fails if another element was faster.
            if GLDisplay::add_context(&guard, &context).is_ok() {
                return Ok(context);
            }
        }
    }
}

/// Asks the neighbours, then the application, for a `GstContext` of type `kind`, until `is_known`.
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

/// The GL context of a neighbour that uses `display`.
fn neighbours_context(element: &gst::Element, display: &GLDisplay) -> Option<GLContext> {
    [gst::PadDirection::Src, gst::PadDirection::Sink].into_iter().find_map(|direction| {
        let context = query_neighbours(element, direction, LOCAL_CONTEXT)?;
        let context = context.structure().get::<GLContext>("context").ok()?;
        (context.display() == *display).then_some(context)
    })
}

/// Queries the peers in one direction for a `GstContext` of type `kind`.
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
