// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scales parts of a frame down to the generator's pictures on the GPU, and downloads the pictures.

use std::{
    ffi::c_void,
    ptr,
    time::{Duration, Instant},
};

use cyclegan_frame::{Rect, Size};
use gst::glib::BoolError;
use gst_gl::GLContext;
use gst_video::{
    VideoFormat, VideoFrame, VideoFrameExt, VideoFrameRef, VideoInfo, video_frame::Writable,
};

use super::{
    Error, Frame,
    functions::constants::*,
    renderer::{Renderer, new_texture},
    scaling::Scaling,
    thread::{Objects, Owned},
};

/// Scales frames of one size, or parts of each, into pictures that it owns, as
/// `cyclegan_frame::Scaler` does in system memory.
pub struct Scaler {
    frame: VideoInfo,
    /// The size of the largest picture.
    largest: Size,
    /// Pictures of this size below one another.
    pictures: VideoFrame<Writable>,
    /// How to scale each part of the current frame.
    parts: Vec<Scaling>,
    objects: Option<Owned<Resources>>,
}

/// Its OpenGL objects.
struct Resources {
    renderer: Renderer,
    texture: u32,
    /// The pixel buffer that the pictures are downloaded through, and its size in bytes.
    buffer: u32,
    room: usize,
    uniforms: Uniforms,
}

/// The locations of the shader's uniforms.
struct Uniforms {
    origin: i32,
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

impl Scaler {
    /// From frames of `info` to pictures of at most `largest`.
    pub fn new(info: &VideoInfo, largest: Size) -> Result<Self, Error> {
        Ok(Self {
            frame: info.clone(),
            largest,
            pictures: pictures(info, largest, 1)?,
            parts: Vec::new(),
            objects: None,
        })
    }

    /// The info of one picture: RGBA in system memory, with the colorimetry of the frames.
    pub fn picture_info(&self) -> Result<VideoInfo, Error> {
        picture_info(&self.frame, self.largest, 1)
    }

    /// Scales all of `frame` to the largest picture.
    pub fn scale(&mut self, frame: &Frame) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        let whole = Size { width: self.frame.width(), height: self.frame.height() };
        self.parts.clear();
        self.parts.push(Scaling::of_frame(whole, self.largest));
        self.draw(frame)
    }

    /// Scales each of `parts` of `frame` to a size. Returns a frame with the pictures at its left
    /// edge, each one height of the largest picture below the one before.
    pub fn scale_parts(
        &mut self,
        frame: &Frame,
        parts: impl Iterator<Item = (Rect, Size)>,
    ) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        self.parts.clear();
        self.parts.extend(parts.map(|(part, size)| Scaling::of_part(part, size)));
        let needed = self.parts.len() as u32 * self.largest.height;
        if self.pictures.height() < needed {
            self.pictures = pictures(&self.frame, self.largest, self.parts.len() as u32)?;
        }
        self.draw(frame)
    }

    fn draw(&mut self, frame: &Frame) -> Result<VideoFrameRef<&gst::BufferRef>, Error> {
        let Self { largest, pictures, parts, objects, .. } = self;
        let (largest, texture) = (*largest, frame.texture());
        let owned =
            Owned::on(objects, frame.context(), |context| Resources::new(context, largest))?;
        let fence = owned.run(|context, resources| resources.draw(context, texture, parts))?;
        // In short waits, so that other elements can use the thread in between.
        wait_for(PATIENCE, || owned.run(|_, resources| resources.is_done(fence)))?;
        let stride = pictures.plane_stride()[0] as usize;
        let rows = pictures.plane_data_mut(0).map_err(|error| Error::Frame(error.to_string()))?;
        let apart = stride * largest.height as usize;
        owned.run(|_, resources| resources.read(fence, parts, rows.chunks_mut(apart), stride))?;
        frame.count_down(bytes(parts));
        Ok(self.pictures.as_video_frame_ref())
    }
}

/// `count` pictures of `size` below one another, as RGBA with the colorimetry of `frame`.
fn picture_info(frame: &VideoInfo, size: Size, count: u32) -> Result<VideoInfo, Error> {
    VideoInfo::builder(VideoFormat::Rgba, size.width, count * size.height)
        .fps(frame.fps())
        .colorimetry(&frame.colorimetry())
        .build()
        .map_err(|error| Error::Frame(error.to_string()))
}

/// The memory of `count` pictures.
fn pictures(frame: &VideoInfo, size: Size, count: u32) -> Result<VideoFrame<Writable>, Error> {
    let failed = |error: BoolError| Error::Frame(error.to_string());
    let info = picture_info(frame, size, count)?;
    let buffer = gst::Buffer::with_size(info.size()).map_err(failed)?;
    VideoFrame::from_buffer_writable(buffer, &info)
        .map_err(|_| Error::Frame("cannot map a picture".to_owned()))
}

/// The size of the pictures of `parts` in bytes.
fn bytes(parts: &[Scaling]) -> usize {
    parts.iter().map(Scaling::bytes).sum()
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

impl Resources {
    fn new(context: &GLContext, largest: Size) -> Result<Self, Error> {
        let renderer = Renderer::new(context, include_str!("scale.frag"), &[c"frame"])?;
        let gl = renderer.gl;
        let mut buffer = 0;
        let size = (largest.width as i32, largest.height as i32);
        // SAFETY: this is the context's thread; the pointer is to a local.
        let texture = unsafe {
            gl.gen_buffers(1, &mut buffer);
            new_texture(&gl, size, (RGBA8, RGBA, UNSIGNED_BYTE))
        };
        let uniforms = Uniforms {
            origin: renderer.uniform(c"origin"),
            halvings: renderer.uniform(c"halvings"),
            size: renderer.uniform(c"size"),
            start: renderer.uniform(c"start"),
            step: renderer.uniform(c"step_size"),
            reach: renderer.uniform(c"reach"),
            taps: renderer.uniform(c"taps"),
        };
        Ok(Self { renderer, texture, buffer, room: 0, uniforms })
    }

    /// Lets the GPU draw the pictures and write them to the buffer. Returns a fence to wait for.
    fn draw(&mut self, context: &GLContext, frame: u32, parts: &[Scaling]) -> Result<Fence, Error> {
        let needed = bytes(parts);
        if self.room < needed {
            let gl = &self.renderer.gl;
            // SAFETY: this is the context's thread, and no data are passed.
            unsafe {
                gl.bind_buffer(PIXEL_PACK_BUFFER, self.buffer);
                gl.buffer_data(PIXEL_PACK_BUFFER, needed as isize, ptr::null(), STREAM_READ);
                gl.bind_buffer(PIXEL_PACK_BUFFER, 0);
            }
            self.room = needed;
        }
        let mut place = 0;
        for part in parts {
            self.draw_part(context, frame, part, place)?;
            place += part.bytes();
        }
        // SAFETY: this is the context's thread; no pointers.
        let fence = unsafe { self.renderer.gl.fence_sync(SYNC_GPU_COMMANDS_COMPLETE, 0) };
        self.renderer.error("glFenceSync")?;
        Ok(Fence(fence as usize))
    }

    /// Lets the GPU draw one picture and write it to byte `place` of the buffer.
    fn draw_part(
        &self,
        context: &GLContext,
        frame: u32,
        part: &Scaling,
        place: usize,
    ) -> Result<(), Error> {
        let Scaling { origin, halvings, columns, rows, picture } = *part;
        let uniforms = &self.uniforms;
        self.renderer.draw(
            context,
            &[frame],
            self.texture,
            &[[0, 0, picture.0, picture.1]],
            // SAFETY: this is the context's thread; no pointers.
            |gl| unsafe {
                gl.uniform_2i(uniforms.origin, origin.0, origin.1);
                gl.uniform_1i(uniforms.halvings, halvings);
                gl.uniform_2i(uniforms.size, columns.size, rows.size);
                gl.uniform_2f(uniforms.start, columns.start, rows.start);
                gl.uniform_2f(uniforms.step, columns.step, rows.step);
                gl.uniform_2f(uniforms.reach, columns.reach, rows.reach);
                gl.uniform_2i(uniforms.taps, columns.taps, rows.taps);
            },
            // SAFETY: this is the context's thread; a buffer with room for all pictures is bound,
            // so the pointer is an offset into it.
            |gl| unsafe {
                gl.bind_buffer(PIXEL_PACK_BUFFER, self.buffer);
                gl.pixel_storei(PACK_ALIGNMENT, 4);
                gl.pixel_storei(PACK_ROW_LENGTH, 0);
                let place = ptr::without_provenance_mut(place);
                gl.read_pixels(0, 0, picture.0, picture.1, RGBA, UNSIGNED_BYTE, place);
                gl.bind_buffer(PIXEL_PACK_BUFFER, 0);
            },
        )
    }

    /// Whether the GPU has passed `fence`; waits up to [`TURN`].
    fn is_done(&mut self, fence: Fence) -> Result<bool, Error> {
        let flush = SYNC_FLUSH_COMMANDS_BIT;
        // SAFETY: this is the context's thread, and the fence is not deleted yet.
        match unsafe { self.renderer.gl.client_wait_sync(fence.get(), flush, TURN) } {
            ALREADY_SIGNALED | CONDITION_SATISFIED => Ok(true),
            TIMEOUT_EXPIRED => Ok(false),
            // Its result does not say why.
            failed => {
                self.renderer.error("glClientWaitSync")?;
                Err(Error::Call("glClientWaitSync", failed))
            }
        }
    }

    /// Copies the picture of each part to one of `targets`, whose rows are `stride` bytes apart,
    /// and deletes the fence.
    fn read<'a>(
        &mut self,
        fence: Fence,
        parts: &[Scaling],
        targets: impl Iterator<Item = &'a mut [u8]>,
        stride: usize,
    ) -> Result<(), Error> {
        let gl = &self.renderer.gl;
        let length = bytes(parts);
        // SAFETY: this is the context's thread. The mapping has the requested length, and is not
        // used after it is unmapped.
        unsafe {
            gl.delete_sync(fence.get());
            gl.bind_buffer(PIXEL_PACK_BUFFER, self.buffer);
            let mapped = gl.map_buffer_range(PIXEL_PACK_BUFFER, 0, length as isize, MAP_READ_BIT);
            if !mapped.is_null() {
                let mut pixels = std::slice::from_raw_parts(mapped.cast::<u8>(), length);
                for (part, rows) in parts.iter().zip(targets) {
                    let width = 4 * part.picture.0 as usize;
                    let (picture, rest) = pixels.split_at(part.bytes());
                    pixels = rest;
                    for (row, pixels) in rows.chunks_mut(stride).zip(picture.chunks_exact(width)) {
                        row[..width].copy_from_slice(pixels);
                    }
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

impl Objects for Resources {
    fn delete(&mut self) {
        let gl = self.renderer.gl;
        // SAFETY: this is the context's thread; each pointer is to one number.
        unsafe {
            gl.delete_textures(1, &self.texture);
            gl.delete_buffers(1, &self.buffer);
        }
        self.renderer.delete();
    }
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
        assert!(
            error.contains("not finished") && error.contains("restart the pipeline"),
            "{error}"
        );
        let mut answers = [false, false, true].into_iter();
        wait_for(Duration::from_secs(10), || Ok(answers.next().unwrap())).unwrap();
        assert!(wait_for(PATIENCE, || Err(Error::of_call("glFinish", 0x0507))).is_err());
        assert!(Error::of_call("glFinish", 0x0507).to_string().contains("reset"));
    }
}
