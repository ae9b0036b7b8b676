// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scales a frame down to the generator's picture on the GPU, and downloads the picture.

use std::{
    ffi::c_void,
    ptr,
    time::{Duration, Instant},
};

use cyclegan_frame::Size;
use gst::glib::BoolError;
use gst_gl::GLContext;
use gst_video::{
    VideoFormat, VideoFrame, VideoFrameExt, VideoFrameRef, VideoInfo, video_frame::Writable,
};

use super::{
    Error, Frame,
    functions::constants::*,
    painter::{Painter, new_texture},
    thread::{Objects, Owned},
};

/// Scales frames of one size into a picture that it owns, as `cyclegan_frame::Scaler` does in
/// system memory.
pub struct Shrinker {
    scaling: Scaling,
    size: (i32, i32),
    picture: VideoFrame<Writable>,
    objects: Option<Owned<Picture>>,
}

/// Its OpenGL objects.
struct Picture {
    painter: Painter,
    texture: u32,
    /// The pixel buffer that the picture is downloaded through.
    buffer: u32,
    uniforms: Uniforms,
}

/// The locations of the shader's uniforms.
struct Uniforms {
    halvings: i32,
    size: i32,
    start: i32,
    step: i32,
    reach: i32,
    taps: i32,
}

/// How long one wait for the GPU may block the context's thread, in nanoseconds.
const TURN: u64 = 1_000_000;
/// How long to wait for the GPU: longer than any frame takes. Drivers reset a GPU that hangs, but the
/// fences of a lost context may never be signalled.
const PATIENCE: Duration = Duration::from_secs(10);

impl Shrinker {
    /// A shrinker from frames of `info` to `size`.
    pub fn new(info: &VideoInfo, size: Size) -> Result<Self, Error> {
        let failed = |error: BoolError| Error::Frame(error.to_string());
        let picture_info = VideoInfo::builder(VideoFormat::Rgba, size.width, size.height)
            .fps(info.fps())
            .colorimetry(&info.colorimetry())
            .build()
            .map_err(failed)?;
        let buffer = gst::Buffer::with_size(picture_info.size()).map_err(failed)?;
        let picture = VideoFrame::from_buffer_writable(buffer, &picture_info)
            .map_err(|_| Error::Frame("cannot map a picture".to_owned()))?;
        Ok(Self {
            scaling: Scaling::new(info, size),
            size: (size.width as i32, size.height as i32),
            picture,
            objects: None,
        })
    }

    /// The info of its pictures: RGBA in system memory, with the colorimetry of the frames.
    pub fn picture_info(&self) -> &VideoInfo {
        self.picture.info()
    }

    /// Scales `frame`.
    pub fn shrink(&mut self, frame: &Frame) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        let Self { scaling, size, picture, objects } = self;
        let (scaling, size) = (*scaling, *size);
        let owned = Owned::on(objects, frame.context(), |context| Picture::new(context, size))?;
        let texture = frame.texture();
        let fence = owned.run(|context, objects| objects.draw(context, texture, &scaling, size))?;
        // In short waits, so that other elements can use the thread in between.
        wait_for(PATIENCE, || owned.run(|_, objects| objects.is_done(fence)))?;
        let stride = picture.plane_stride()[0] as usize;
        let rows = picture.plane_data_mut(0).map_err(|error| Error::Frame(error.to_string()))?;
        owned.run(|_, objects| objects.read(fence, size, rows, stride))?;
        frame.count_down(length(size));
        Ok(self.picture.as_video_frame_ref())
    }
}

/// Waits until `is_done`, at most for `patience`.
fn wait_for(
    patience: Duration,
    mut is_done: impl FnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let start = Instant::now();
    while !is_done()? {
        if start.elapsed() > patience {
            return Err(Error::Stuck(patience));
        }
    }
    Ok(())
}

/// How to scale: halve as `cyclegan_frame` does, then scale as GStreamer's converter does with
/// linear taps, so that the generator sees the same picture as with system memory.
#[derive(Clone, Copy, Debug)]
struct Scaling {
    /// How often to halve frames before scaling.
    halvings: i32,
    columns: Axis,
    rows: Axis,
}

/// Scaling along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Size of the frame after halving, in pixels.
    size: i32,
    /// Position of the first output pixel's centre in the frame.
    start: f32,
    /// Distance between the centres of two output pixels.
    step: f32,
    /// Half of the base of the triangle filter.
    reach: f32,
    /// Number of pixels under the filter.
    taps: i32,
}

impl Scaling {
    fn new(info: &VideoInfo, size: Size) -> Self {
        const LEAST_RATIO: u32 = 4;
        let (mut width, mut height, mut halvings) = (info.width(), info.height(), 0);
        while width.is_multiple_of(2)
            && height.is_multiple_of(2)
            && width >= LEAST_RATIO * size.width
            && height >= LEAST_RATIO * size.height
        {
            (width, height, halvings) = (width / 2, height / 2, halvings + 1);
        }
        let mut columns = Axis::new(width, size.width);
        // When upscaling horizontally, the converter aligns the outermost pixels.
        if width < size.width {
            columns.start = 0.0;
            columns.step = (width - 1) as f32 / (size.width - 1) as f32;
        }
        Self { halvings, columns, rows: Axis::new(height, size.height) }
    }
}

impl Axis {
    /// From `input` to `output` pixels.
    fn new(input: u32, output: u32) -> Self {
        const MOST: f64 = 128.0;
        let step = f64::from(input) / f64::from(output);
        let taps = (2.0 * step.max(1.0)).ceil().min(MOST);
        Self {
            size: input as i32,
            start: (0.5 * step - 0.5) as f32,
            step: step as f32,
            reach: (taps / 2.0) as f32,
            taps: taps as i32,
        }
    }
}

impl Picture {
    fn new(context: &GLContext, size: (i32, i32)) -> Result<Self, Error> {
        let painter = Painter::new(context, include_str!("shrink.frag"), &[c"frame"])?;
        let gl = painter.gl;
        let mut buffer = 0;
        // SAFETY: this is the context's thread; the pointer is to a local, and no data are passed.
        let texture = unsafe {
            gl.gen_buffers(1, &mut buffer);
            gl.bind_buffer(PIXEL_PACK_BUFFER, buffer);
            gl.buffer_data(PIXEL_PACK_BUFFER, length(size) as isize, ptr::null(), STREAM_READ);
            gl.bind_buffer(PIXEL_PACK_BUFFER, 0);
            new_texture(&gl, size, (RGBA8, RGBA, UNSIGNED_BYTE))
        };
        let uniforms = Uniforms {
            halvings: painter.uniform(c"halvings"),
            size: painter.uniform(c"size"),
            start: painter.uniform(c"start"),
            step: painter.uniform(c"step_size"),
            reach: painter.uniform(c"reach"),
            taps: painter.uniform(c"taps"),
        };
        Ok(Self { painter, texture, buffer, uniforms })
    }

    /// Lets the GPU draw the picture and write it to the buffer. Returns a fence to wait for.
    fn draw(
        &mut self,
        context: &GLContext,
        frame: u32,
        scaling: &Scaling,
        size: (i32, i32),
    ) -> Result<Fence, Error> {
        let Scaling { halvings, columns, rows } = *scaling;
        let mut fence = Fence(0);
        self.painter.draw(
            context,
            &[frame],
            (self.texture, size.0, size.1),
            // SAFETY: this is the context's thread; no pointers.
            |gl| unsafe {
                gl.uniform_1i(self.uniforms.halvings, halvings);
                gl.uniform_2i(self.uniforms.size, columns.size, rows.size);
                gl.uniform_2f(self.uniforms.start, columns.start, rows.start);
                gl.uniform_2f(self.uniforms.step, columns.step, rows.step);
                gl.uniform_2f(self.uniforms.reach, columns.reach, rows.reach);
                gl.uniform_2i(self.uniforms.taps, columns.taps, rows.taps);
                // GStreamer's own textures have these parameters; those of others may not.
                for filter in [TEXTURE_MIN_FILTER, TEXTURE_MAG_FILTER] {
                    gl.tex_parameteri(TEXTURE_2D, filter, LINEAR);
                }
                for wrap in [TEXTURE_WRAP_S, TEXTURE_WRAP_T] {
                    gl.tex_parameteri(TEXTURE_2D, wrap, CLAMP_TO_EDGE);
                }
            },
            // SAFETY: this is the context's thread; a buffer of the picture's length is bound, so
            // the pointer is an offset into it.
            |gl| unsafe {
                gl.bind_buffer(PIXEL_PACK_BUFFER, self.buffer);
                gl.pixel_storei(PACK_ALIGNMENT, 4);
                gl.pixel_storei(PACK_ROW_LENGTH, 0);
                gl.read_pixels(0, 0, size.0, size.1, RGBA, UNSIGNED_BYTE, ptr::null_mut());
                gl.bind_buffer(PIXEL_PACK_BUFFER, 0);
                fence = Fence(gl.fence_sync(SYNC_GPU_COMMANDS_COMPLETE, 0) as usize);
            },
        )?;
        Ok(fence)
    }

    /// Whether the GPU has passed `fence`; waits up to `PATIENCE`.
    fn is_done(&mut self, fence: Fence) -> Result<bool, Error> {
        let flush = SYNC_FLUSH_COMMANDS_BIT;
        // SAFETY: this is the context's thread, and the fence is not deleted yet.
        match unsafe { self.painter.gl.client_wait_sync(fence.get(), flush, TURN) } {
            ALREADY_SIGNALED | CONDITION_SATISFIED => Ok(true),
            TIMEOUT_EXPIRED => Ok(false),
            // What it returns names no reason.
            failed => {
                self.painter.error("glClientWaitSync")?;
                Err(Error::Call("glClientWaitSync", failed))
            }
        }
    }

    /// Copies the picture to `rows`, which are `stride` bytes apart, and deletes the fence.
    fn read(
        &mut self,
        fence: Fence,
        size: (i32, i32),
        rows: &mut [u8],
        stride: usize,
    ) -> Result<(), Error> {
        let gl = &self.painter.gl;
        let length = length(size);
        // SAFETY: this is the context's thread. The mapping has the requested length, and is not
        // used after it is unmapped.
        unsafe {
            gl.delete_sync(fence.get());
            gl.bind_buffer(PIXEL_PACK_BUFFER, self.buffer);
            let mapped = gl.map_buffer_range(PIXEL_PACK_BUFFER, 0, length as isize, MAP_READ_BIT);
            if !mapped.is_null() {
                let pixels = std::slice::from_raw_parts(mapped.cast::<u8>(), length);
                let width = 4 * size.0 as usize;
                for (row, pixels) in rows.chunks_mut(stride).zip(pixels.chunks_exact(width)) {
                    row[..width].copy_from_slice(pixels);
                }
                gl.unmap_buffer(PIXEL_PACK_BUFFER);
            }
            gl.bind_buffer(PIXEL_PACK_BUFFER, 0);
            if mapped.is_null() {
                return Err(Error::of_call("glMapBufferRange", gl.get_error()));
            }
        }
        Ok(())
    }
}

impl Objects for Picture {
    fn delete(&mut self) {
        let gl = self.painter.gl;
        // SAFETY: this is the context's thread; each pointer is to one number.
        unsafe {
            gl.delete_textures(1, &self.texture);
            gl.delete_buffers(1, &self.buffer);
        }
        self.painter.delete();
    }
}

/// The size of a picture in bytes.
fn length((width, height): (i32, i32)) -> usize {
    4 * width as usize * height as usize
}

/// A sync object. Other threads may hold it, but only the context's thread uses it.
#[derive(Clone, Copy)]
struct Fence(usize);

impl Fence {
    fn get(self) -> *const c_void {
        self.0 as *const c_void
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_hangs_is_not_waited_for_forever() {
        let error = wait_for(Duration::from_millis(20), || Ok(false)).unwrap_err().to_string();
        assert!(error.contains("not finished") && error.contains("play it again"), "{error}");
        let mut answers = [false, false, true].into_iter();
        wait_for(Duration::from_secs(10), || Ok(answers.next().unwrap())).unwrap();
        assert!(wait_for(PATIENCE, || Err(Error::of_call("glFinish", 0x0507))).is_err());
        assert!(Error::of_call("glFinish", 0x0507).to_string().contains("reset"));
    }
}
