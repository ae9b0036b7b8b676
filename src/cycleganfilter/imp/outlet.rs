// SPDX-License-Identifier: MIT OR Apache-2.0

//! The end of the element's queue.

use std::sync::Arc;

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{CAT, CycleGanFilter};
use crate::cycleganfilter::{
    frames::{FrameQueue, FrameStages, Outlet},
    job::Job,
    lock,
    queue::Queue,
};

/// The element, as a weak reference: its queue must not keep it alive.
struct Element(glib::WeakRef<crate::cycleganfilter::CycleGanFilter>);

impl Element {
    fn get(&self) -> Result<crate::cycleganfilter::CycleGanFilter, gst::FlowError> {
        self.0.upgrade().ok_or(gst::FlowError::Flushing)
    }
}

impl Outlet for Element {
    fn finish(&self, job: Job) -> Result<gst::Buffer, gst::FlowError> {
        self.get()?.imp().finish(job)
    }

    fn count_passed(&self) {
        if let Ok(element) = self.get() {
            element.imp().count_passed();
        }
    }

    fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.get()?.src_pad().push(buffer).map(|_| ())
    }

    fn push_event(&self, event: gst::Event) {
        if let Ok(element) = self.get() {
            element.src_pad().push_event(event);
        }
    }

    fn keep_event(&self, event: gst::Event) {
        // The pad sends it with the next frame. It has no use for segments and EOS during a flush, but
        // these are never queued.
        if event.is_sticky()
            && let Ok(element) = self.get()
            && element.src_pad().store_sticky_event(&event).is_err()
        {
            gst::debug!(CAT, obj = element, "stopping, so {:?} is not kept", event.type_());
        }
    }

    fn panicked(&self) {
        if let Ok(element) = self.get() {
            gst::element_error!(
                element,
                gst::LibraryError::Failed,
                ("A processing stage panicked, which is a bug; please report it")
            );
        }
    }
}

impl CycleGanFilter {
    /// Makes the queue for `max-in-flight` frames.
    pub(super) fn new_queue(&self) -> Result<Arc<FrameQueue>, gst::ErrorMessage> {
        let depth = lock(&self.settings).max_in_flight as usize;
        let queue = Queue::new(FrameStages::new(Element(self.obj().downgrade())), depth).map_err(
            |error| {
                gst::error_msg!(
                    gst::ResourceError::Failed,
                    ["Could not start the threads for max-in-flight={depth}: {error}"]
                )
            },
        )?;
        Ok(Arc::new(queue))
    }

    /// The queue; `Some` between start and stop.
    pub(super) fn queue(&self) -> Option<Arc<FrameQueue>> {
        lock(&self.state).stream.as_ref().map(|stream| stream.queue.clone())
    }

    /// Waits until everything in the queue has been pushed downstream.
    pub(super) fn drain(&self) {
        if let Some(queue) = self.queue() {
            queue.drain();
        }
    }

    /// Drops everything in the queue, ends the inference of a frame, and refuses frames until the queue
    /// resumes.
    pub(super) fn flush(&self, queue: &FrameQueue) {
        // First, so that the interrupted frame is dropped.
        queue.flush();
        if let Some(stream) = &lock(&self.state).stream {
            stream.flush.set();
        }
    }

    /// Posts an error if the last frames could not be pushed, as no later frame can return it.
    /// Downstream elements report other errors themselves.
    pub(super) fn report_last_failure(&self, queue: &FrameQueue) {
        if let Some(error @ (gst::FlowError::NotLinked | gst::FlowError::NotNegotiated)) =
            queue.take_failure()
        {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Could not push the last frames: {error}")
            );
        }
    }
}
