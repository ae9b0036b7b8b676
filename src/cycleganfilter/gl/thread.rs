// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs code on the thread of a GL context.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gst::glib::{ffi::g_thread_unref, translate::ToGlibPtr};
use gst_gl::{GLContext, prelude::*};

use super::Error;

/// Fails if the thread of `context` has ended: GStreamer would wait for it forever.
pub fn require_alive(context: &GLContext) -> Result<(), Error> {
    // SAFETY: the context is valid, and what is returned is a reference of our own, or null.
    let is_alive = unsafe {
        let thread = gst_gl::ffi::gst_gl_context_get_thread(context.to_glib_none().0);
        if !thread.is_null() {
            g_thread_unref(thread);
        }
        !thread.is_null()
    };
    if is_alive { Ok(()) } else { Err(Error::Ended) }
}

/// Runs `work` on the thread of `context` and waits for it.
pub fn run<R: Send>(
    context: &GLContext,
    work: impl FnOnce(&GLContext) -> Result<R, Error> + Send,
) -> Result<R, Error> {
    require_alive(context)?;
    let mut result = None;
    context.thread_add(|context| {
        // A panic must not unwind into C. The result is then missing.
        result = catch_unwind(AssertUnwindSafe(|| work(context))).ok();
    });
    result.unwrap_or(Err(Error::Ended))
}

/// OpenGL objects, which must be deleted on the context's thread.
pub trait Objects: Send {
    /// Deletes them. Called on the context's thread.
    fn delete(&mut self);
}

/// OpenGL objects and their context.
pub struct Owned<T: Objects> {
    context: GLContext,
    objects: T,
}

impl<T: Objects> Owned<T> {
    /// Creates objects with `new` on the thread of `context`.
    pub fn new(
        context: &GLContext,
        new: impl FnOnce(&GLContext) -> Result<T, Error> + Send,
    ) -> Result<Self, Error> {
        Ok(Self { context: context.clone(), objects: run(context, new)? })
    }

    /// Runs `work` with the objects on the context's thread and waits for it.
    pub fn run<R: Send>(
        &mut self,
        work: impl FnOnce(&GLContext, &mut T) -> Result<R, Error> + Send,
    ) -> Result<R, Error> {
        let Self { context, objects } = self;
        run(context, |context| work(context, objects))
    }

    /// The objects in `place` if they belong to `context`; otherwise replaces them by new ones.
    pub fn on<'a>(
        place: &'a mut Option<Self>,
        context: &GLContext,
        new: impl FnOnce(&GLContext) -> Result<T, Error> + Send,
    ) -> Result<&'a mut Self, Error> {
        if let Some(owned) = place.take().filter(|owned| owned.context == *context) {
            return Ok(place.insert(owned));
        }
        Ok(place.insert(Self::new(context, new)?))
    }
}

impl<T: Objects> Drop for Owned<T> {
    fn drop(&mut self) {
        // Those of a context that has ended are gone with it.
        let _ = self.run(|_, objects| {
            objects.delete();
            Ok(())
        });
    }
}
