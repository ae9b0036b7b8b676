// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds residuals to a frame on the GPU.

use cyclegan_frame::{Matte, Patch, Residual, Size};
use gst_gl::{GLContext, GLSyncMeta, GLVideoFrameExt, GLVideoFrameRef};
use gst_video::VideoInfo;

use super::{Error, Frame, canvas::Canvas, layer::Layers, thread::Owned};

/// Adds residuals to frames of one format and size, with exactly the results of
/// `cyclegan_frame::Compositor`.
pub struct Compositor {
    info: VideoInfo,
    /// The size of the largest residual.
    largest: Size,
    layers: Layers,
    objects: Option<Owned<Canvas>>,
}

impl Compositor {
    /// For frames of `info` and residuals of at most `largest` pixels.
    pub fn new(info: &VideoInfo, largest: Size) -> Self {
        Self { info: info.clone(), largest, layers: Layers::default(), objects: None }
    }

    /// Draws `keep` · `input` + `residual` into `output`, with `matte` as its alpha if there is one.
    pub fn composite(
        &mut self,
        residual: &Residual,
        keep: f32,
        matte: Option<&Matte>,
        input: &Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), Error> {
        let frame = Size { width: self.info.width(), height: self.info.height() };
        self.layers.clear(matte.is_some());
        self.layers.add_whole(frame, residual, keep, matte);
        self.draw_layers(input, output)
    }

    /// Draws `input` and then `patches` into `output`. With `mattes`, as many as `patches`, these
    /// are its alpha, which is 0 outside them.
    pub fn composite_patches(
        &mut self,
        patches: &[Patch],
        mattes: Option<&[Patch]>,
        input: &Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), Error> {
        self.layers.clear(mattes.is_some());
        for (index, patch) in patches.iter().enumerate() {
            self.layers.add_patch(patch, mattes.and_then(|mattes| mattes.get(index)));
        }
        self.draw_layers(input, output)
    }

    /// Copies `input` to `output`.
    pub fn copy(&mut self, input: &Frame, output: &mut gst::BufferRef) -> Result<(), Error> {
        self.composite_patches(&[], None, input, output)
    }

    /// Draws `input` and the layers into `output`, and sets a sync point on it.
    fn draw_layers(&mut self, input: &Frame, output: &mut gst::BufferRef) -> Result<(), Error> {
        let Self { info, largest, layers, objects } = self;
        let (largest, size) = (*largest, (info.width(), info.height()));
        let context = input.context();
        let canvas = Owned::on(objects, context, |context| Canvas::new(context, largest, size))?;
        {
            let frame = GLVideoFrameRef::from_buffer_ref_writable(output, info);
            let frame = frame.map_err(|error| Error::Frame(error.to_string()))?;
            let target = frame.texture_id(0).map_err(|error| Error::Frame(error.to_string()))?;
            let source = input.texture();
            let draw = |context: &GLContext, canvas: &mut Canvas| {
                let uploaded = canvas.upload(layers)?;
                canvas.draw(context, layers, source, target)?;
                Ok(uploaded)
            };
            input.count_up(canvas.run(draw)?);
        }
        match output.meta::<GLSyncMeta>() {
            Some(meta) => meta.set_sync_point(context),
            None => GLSyncMeta::add(output, context).set_sync_point(context),
        }
        Ok(())
    }
}
