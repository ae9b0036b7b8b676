// SPDX-License-Identifier: MIT OR Apache-2.0

//! Adds a residual to a frame on the GPU.

use cyclegan_frame::{KEEP_ALL, Residual, Size, Tap, taps};
use gst_gl::{GLContext, GLSyncMeta, GLVideoFrameExt, GLVideoFrameRef};
use gst_video::VideoInfo;

use super::{
    Error, Frame,
    functions::constants::*,
    painter::{Painter, fill_texture, new_texture},
    thread::{Objects, Owned},
};

/// Adds residuals to frames of one format and size, with exactly the results of
/// `cyclegan_frame::Compositor`.
pub struct Compositor {
    info: VideoInfo,
    residual: Size,
    /// The residual as pixels, with an unused fourth component.
    pixels: Vec<[i16; 4]>,
    objects: Option<Owned<Canvas>>,
}

/// Its OpenGL objects.
struct Canvas {
    painter: Painter,
    residual: u32,
    taps: u32,
    keep: i32,
}

impl Compositor {
    /// For frames of `info` and residuals of `residual` pixels.
    pub fn new(info: &VideoInfo, residual: Size) -> Self {
        Self { info: info.clone(), residual, pixels: Vec::new(), objects: None }
    }

    /// Draws `keep` · `input` + `residual` into `output`.
    pub fn composite(
        &mut self,
        residual: &Residual,
        keep: f32,
        input: &Frame,
        output: &mut gst::BufferRef,
    ) -> Result<(), Error> {
        let Size { width, height } = self.residual;
        self.pixels.resize(width as usize * height as usize, [0; 4]);
        let [red, green, blue] = &residual.planes;
        let samples = red.iter().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in self.pixels.iter_mut().zip(samples) {
            *pixel = [*red, *green, *blue, 0];
        }
        input.count_up(size_of_val(self.pixels.as_slice()));
        let keep = (keep * KEEP_ALL as f32).round() as i32;
        self.draw(input, output, |context, canvas, pixels, (source, target)| {
            canvas.upload(pixels, (width as i32, height as i32));
            let textures = [source, canvas.residual, canvas.taps];
            let place = canvas.keep;
            // SAFETY: this is the context's thread; no pointers.
            let set = |gl: &super::functions::Functions| unsafe { gl.uniform_1i(place, keep) };
            canvas.painter.draw(context, &textures, target, set, |_| {})
        })
    }

    /// Copies `input` to `output`.
    pub fn copy(&mut self, input: &Frame, output: &mut gst::BufferRef) -> Result<(), Error> {
        self.draw(input, output, |context, canvas, _, (source, target)| {
            canvas.painter.copy(context, source, target)
        })
    }

    /// Runs `draw` on the thread of the input's context, with the textures of both frames, and sets
    /// a sync point on the output.
    fn draw(
        &mut self,
        input: &Frame,
        output: &mut gst::BufferRef,
        draw: impl FnOnce(&GLContext, &Canvas, &[[i16; 4]], (u32, (u32, i32, i32))) -> Result<(), Error>
        + Send,
    ) -> Result<(), Error> {
        let Self { info, residual, pixels, objects } = self;
        let size = (info.width(), info.height());
        let context = input.context();
        let canvas = Owned::on(objects, context, |context| Canvas::new(context, *residual, size))?;
        {
            let frame = GLVideoFrameRef::from_buffer_ref_writable(output, info);
            let frame = frame.map_err(|error| Error::Frame(error.to_string()))?;
            let target = frame.texture_id(0).map_err(|error| Error::Frame(error.to_string()))?;
            let textures = (input.texture(), (target, size.0 as i32, size.1 as i32));
            canvas.run(|context, canvas| draw(context, canvas, pixels, textures))?;
        }
        match output.meta::<GLSyncMeta>() {
            Some(meta) => meta.set_sync_point(context),
            None => GLSyncMeta::add(output, context).set_sync_point(context),
        }
        Ok(())
    }
}

impl Canvas {
    fn new(context: &GLContext, residual: Size, frame: (u32, u32)) -> Result<Self, Error> {
        let textures = [c"frame", c"residual", c"taps"];
        let painter = Painter::new(context, include_str!("compose.frag"), &textures)?;
        let gl = painter.gl;
        let width = frame.0.max(frame.1);
        let size = (residual.width as i32, residual.height as i32);
        let mut positions = vec![[0u16; 2]; 2 * width as usize];
        let (columns, rows) = positions.split_at_mut(width as usize);
        for (line, from, to) in
            [(columns, residual.width, frame.0), (rows, residual.height, frame.1)]
        {
            for (place, Tap { before, weight, .. }) in line.iter_mut().zip(taps(from, to)) {
                *place = [before as u16, weight];
            }
        }
        // SAFETY: this is the context's thread, and the numbers are as many as the texture's.
        let (residual, taps) = unsafe {
            let lines = (width as i32, 2);
            let taps = new_texture(&gl, lines, (RG16UI, RG_INTEGER, UNSIGNED_SHORT));
            fill_texture(&gl, taps, lines, (RG_INTEGER, UNSIGNED_SHORT), &positions);
            (new_texture(&gl, size, (RGBA16I, RGBA_INTEGER, SHORT)), taps)
        };
        let keep = painter.uniform(c"keep");
        Ok(Self { painter, residual, taps, keep })
    }

    fn upload(&self, pixels: &[[i16; 4]], size: (i32, i32)) {
        let kind = (RGBA_INTEGER, SHORT);
        // SAFETY: this is the context's thread, and the pixels are as many as the texture's.
        unsafe { fill_texture(&self.painter.gl, self.residual, size, kind, pixels) };
    }
}

impl Objects for Canvas {
    fn delete(&mut self) {
        // SAFETY: this is the context's thread; the pointer is that of two numbers.
        unsafe { self.painter.gl.delete_textures(2, [self.residual, self.taps].as_ptr()) };
        self.painter.delete();
    }
}
