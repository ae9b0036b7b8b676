// SPDX-License-Identifier: MIT OR Apache-2.0

//! Draws into a texture with a fragment shader.

use std::{ffi::CStr, ptr};

use gst_gl::{GLAPI, GLContext, prelude::*};

use super::{
    Error,
    functions::{Functions, constants::*},
};

/// One triangle that covers the target; needs no vertex buffer.
const VERTEX: &str = "
void main() {
    vec2 corner = vec2(float((gl_VertexID & 1) << 2), float((gl_VertexID & 2) << 1));
    gl_Position = vec4(corner - 1.0, 0.0, 1.0);
}
";

/// A shader program that draws into textures, with its vertex array and framebuffer.
pub struct Renderer {
    /// OpenGL's functions.
    pub gl: Functions,
    program: u32,
    vertex_array: u32,
    framebuffer: u32,
}

impl Renderer {
    /// Compiles the fragment shader `fragment`. `textures` names its samplers, in the order of the
    /// textures of [`Renderer::draw`].
    pub fn new(context: &GLContext, fragment: &str, textures: &[&CStr]) -> Result<Self, Error> {
        let header = header(context)?;
        let gl = Functions::load(context)?;
        let mut renderer = Self { gl, program: 0, vertex_array: 0, framebuffer: 0 };
        if let Err(error) = renderer.build(header, fragment, textures) {
            renderer.delete();
            return Err(error);
        }
        Ok(renderer)
    }

    fn build(&mut self, header: &str, fragment: &str, textures: &[&CStr]) -> Result<(), Error> {
        let gl = self.gl;
        // SAFETY: the caller is on the context's thread; each pointer is to a local, with its
        // length beside it.
        unsafe {
            self.program = gl.create_program();
            for (kind, text) in [(VERTEX_SHADER, VERTEX), (FRAGMENT_SHADER, fragment)] {
                let shader = gl.create_shader(kind);
                gl.attach_shader(self.program, shader);
                let texts = [header, text];
                let lengths = texts.map(|text| text.len() as i32);
                let texts = texts.map(|text| text.as_ptr().cast());
                gl.shader_source(shader, 2, texts.as_ptr(), lengths.as_ptr());
                gl.compile_shader(shader);
                let mut is_compiled = 0;
                gl.get_shaderiv(shader, COMPILE_STATUS, &mut is_compiled);
                let log = |room, length: &mut i32, text: &mut [u8]| {
                    gl.get_shader_info_log(shader, room, length, text.as_mut_ptr().cast());
                };
                let log = (is_compiled == 0).then(|| text_of(log));
                // OpenGL deletes it together with the program that it is attached to.
                gl.delete_shader(shader);
                if let Some(log) = log {
                    return Err(Error::Shader(log));
                }
            }
            gl.link_program(self.program);
            let mut is_linked = 0;
            gl.get_programiv(self.program, LINK_STATUS, &mut is_linked);
            if is_linked == 0 {
                return Err(Error::Shader(text_of(|room, length, text| {
                    gl.get_program_info_log(self.program, room, length, text.as_mut_ptr().cast());
                })));
            }
            gl.gen_vertex_arrays(1, &mut self.vertex_array);
            gl.gen_framebuffers(1, &mut self.framebuffer);
            gl.use_program(self.program);
            for (unit, name) in (0..).zip(textures) {
                gl.uniform_1i(self.uniform(name), unit);
            }
            gl.use_program(0);
        }
        Ok(())
    }

    /// The location of a uniform of the fragment shader.
    pub fn uniform(&self, name: &CStr) -> i32 {
        // SAFETY: the caller is on the context's thread.
        unsafe { self.gl.get_uniform_location(self.program, name.as_ptr()) }
    }

    /// Draws `areas` (x, y, width, height) of the texture `target`. The first of `textures` is the frame's.
    /// Calls `set` before to set uniforms, and `after` while the target is still bound for reading.
    pub fn draw(
        &self,
        context: &GLContext,
        textures: &[u32],
        target: u32,
        areas: &[[i32; 4]],
        set: impl FnOnce(&Functions),
        after: impl FnOnce(&Functions),
    ) -> Result<(), Error> {
        let gl = &self.gl;
        self.forget_errors();
        // SAFETY: the caller is on the context's thread; no pointers.
        unsafe {
            gl.bind_framebuffer(FRAMEBUFFER, self.framebuffer);
            gl.framebuffer_texture_2d(FRAMEBUFFER, COLOR_ATTACHMENT0, TEXTURE_2D, target, 0);
            let status = gl.check_framebuffer_status(FRAMEBUFFER);
            if status != FRAMEBUFFER_COMPLETE {
                context.clear_framebuffer();
                return Err(Error::of_call("glCheckFramebufferStatus", status));
            }
            for capability in [BLEND, CULL_FACE, DEPTH_TEST, DITHER, SCISSOR_TEST] {
                gl.disable(capability);
            }
            gl.use_program(self.program);
            gl.bind_vertex_array(self.vertex_array);
            for (unit, texture) in (0..).zip(textures) {
                gl.active_texture(TEXTURE0 + unit);
                gl.bind_texture(TEXTURE_2D, *texture);
            }
            gl.active_texture(TEXTURE0);
            // GStreamer's own textures have these parameters. One of others may expect mipmaps that it lacks, and
            // would be black.
            for filter in [TEXTURE_MIN_FILTER, TEXTURE_MAG_FILTER] {
                gl.tex_parameteri(TEXTURE_2D, filter, LINEAR);
            }
            for wrap in [TEXTURE_WRAP_S, TEXTURE_WRAP_T] {
                gl.tex_parameteri(TEXTURE_2D, wrap, CLAMP_TO_EDGE);
            }
            set(gl);
            for [x, y, width, height] in areas {
                gl.viewport(*x, *y, *width, *height);
                gl.draw_arrays(TRIANGLES, 0, 3);
            }
            after(gl);
            // Restore the state that GStreamer's own elements leave.
            for unit in (0..textures.len() as u32).rev() {
                gl.active_texture(TEXTURE0 + unit);
                gl.bind_texture(TEXTURE_2D, 0);
            }
            gl.bind_vertex_array(0);
            gl.use_program(0);
            gl.enable(DITHER);
        }
        self.detach(context);
        self.error("glDrawArrays")
    }

    /// Copies the texture `source` to `target` (texture, width, height).
    pub fn copy(
        &self,
        context: &GLContext,
        source: u32,
        (target, width, height): (u32, i32, i32),
    ) -> Result<(), Error> {
        let gl = &self.gl;
        self.forget_errors();
        let mut reading = 0;
        // SAFETY: the caller is on the context's thread; the pointers are to a local.
        unsafe {
            gl.gen_framebuffers(1, &mut reading);
            gl.bind_framebuffer(DRAW_FRAMEBUFFER, self.framebuffer);
            gl.bind_framebuffer(READ_FRAMEBUFFER, reading);
            let (draw, read) = (DRAW_FRAMEBUFFER, READ_FRAMEBUFFER);
            gl.framebuffer_texture_2d(draw, COLOR_ATTACHMENT0, TEXTURE_2D, target, 0);
            gl.framebuffer_texture_2d(read, COLOR_ATTACHMENT0, TEXTURE_2D, source, 0);
            gl.disable(SCISSOR_TEST);
            let (mask, filter) = (COLOR_BUFFER_BIT, NEAREST as u32);
            gl.blit_framebuffer(0, 0, width, height, 0, 0, width, height, mask, filter);
            gl.delete_framebuffers(1, &reading);
        }
        self.detach(context);
        self.error("glBlitFramebuffer")
    }

    /// Deletes its objects. Call this on the context's thread.
    pub fn delete(&mut self) {
        let gl = self.gl;
        // SAFETY: the caller is on the context's thread; each pointer is to one number. OpenGL
        // ignores zeros.
        unsafe {
            gl.delete_program(self.program);
            gl.delete_vertex_arrays(1, &self.vertex_array);
            gl.delete_framebuffers(1, &self.framebuffer);
        }
    }

    /// Detaches the target, as another element may delete it.
    fn detach(&self, context: &GLContext) {
        let gl = &self.gl;
        // SAFETY: the caller is on the context's thread; no pointers.
        unsafe {
            gl.bind_framebuffer(FRAMEBUFFER, self.framebuffer);
            gl.framebuffer_texture_2d(FRAMEBUFFER, COLOR_ATTACHMENT0, TEXTURE_2D, 0, 0);
        }
        context.clear_framebuffer();
    }

    /// Clears errors that others have left.
    pub fn forget_errors(&self) {
        // A lost context returns errors forever.
        for _ in 0..16 {
            // SAFETY: the caller is on the context's thread; no pointers.
            if unsafe { self.gl.get_error() } == NO_ERROR {
                return;
            }
        }
    }

    /// The error of the calls since the last check, if any; `call` names them.
    pub fn error(&self, call: &'static str) -> Result<(), Error> {
        // SAFETY: the caller is on the context's thread; no pointers.
        match unsafe { self.gl.get_error() } {
            NO_ERROR => Ok(()),
            error => Err(Error::of_call(call, error)),
        }
    }
}

/// Creates a texture of width×height that only shaders use.
///
/// # Safety The context must be current.
pub unsafe fn new_texture(
    gl: &Functions,
    (width, height): (i32, i32),
    (internal, format, kind): (i32, u32, u32),
) -> u32 {
    let mut texture = 0;
    // SAFETY: the caller guarantees the context; the pointer is to a local, and no pixels are
    // passed.
    unsafe {
        gl.gen_textures(1, &mut texture);
        gl.bind_texture(TEXTURE_2D, texture);
        gl.tex_image_2d(TEXTURE_2D, 0, internal, width, height, 0, format, kind, ptr::null());
        // Integer textures cannot be filtered.
        gl.tex_parameteri(TEXTURE_2D, TEXTURE_MIN_FILTER, NEAREST);
        gl.tex_parameteri(TEXTURE_2D, TEXTURE_MAG_FILTER, NEAREST);
        gl.bind_texture(TEXTURE_2D, 0);
    }
    texture
}

/// Fills an area of a texture.
///
/// # Safety The context must be current, and `pixels` must hold at least width·height pixels of
/// `format` and `kind`.
pub unsafe fn fill_texture<T>(
    gl: &Functions,
    texture: u32,
    (x, y, width, height): (i32, i32, i32, i32),
    (format, kind): (u32, u32),
    pixels: &[T],
) {
    // SAFETY: the caller guarantees this.
    unsafe {
        gl.bind_buffer(PIXEL_UNPACK_BUFFER, 0);
        gl.pixel_storei(UNPACK_ALIGNMENT, 1);
        gl.pixel_storei(UNPACK_ROW_LENGTH, 0);
        gl.bind_texture(TEXTURE_2D, texture);
        let pixels = pixels.as_ptr().cast();
        gl.tex_sub_image_2d(TEXTURE_2D, 0, x, y, width, height, format, kind, pixels);
        gl.bind_texture(TEXTURE_2D, 0);
        // OpenGL's default.
        gl.pixel_storei(UNPACK_ALIGNMENT, 4);
    }
}

/// The first lines of each shader.
fn header(context: &GLContext) -> Result<&'static str, Error> {
    let (api, version) = (context.gl_api(), context.gl_version());
    match api {
        _ if version < (3, 0) => {
            let name = if api.contains(GLAPI::GLES2) { "OpenGL ES" } else { "OpenGL" };
            Err(Error::Version(format!("{name} {}.{}", version.0, version.1)))
        }
        api if api.contains(GLAPI::GLES2) => Ok("#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp isampler2D;
precision highp usampler2D;
"),
        api if api.contains(GLAPI::OPENGL3) => Ok("#version 150\n"),
        _ => Ok("#version 130\n"),
    }
}

/// A log that OpenGL writes.
fn text_of(write: impl FnOnce(i32, &mut i32, &mut [u8])) -> String {
    let (mut text, mut length) = ([0; 1024], 0);
    write(text.len() as i32, &mut length, &mut text);
    String::from_utf8_lossy(&text[..(length.max(0) as usize).min(text.len())]).trim().to_owned()
}
