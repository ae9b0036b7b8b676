// SPDX-License-Identifier: MIT OR Apache-2.0

//! The functions that the element uses, loaded through GStreamer's context, and their constants. OpenGL ES 3.0
//! has them all, and so has OpenGL 3.2; OpenGL 3.0 has the sync objects of 3.2 as the extension GL_ARB_sync.

use std::{
    ffi::{c_char, c_void},
    mem::transmute,
};

use gst_gl::prelude::*;

use super::Error;

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        /// OpenGL's functions. Call them on the thread of the context that they were loaded from.
        #[derive(Clone, Copy)]
        pub struct Functions {
            $($name: unsafe extern "system" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Loads the functions. Call this on the thread of `context`.
            pub fn load(context: &gst_gl::GLContext) -> Result<Self, Error> {
                Ok(Self {
                    $($name: match context.proc_address($symbol) {
                        0 => return Err(Error::NoFunction($symbol)),
                        // SAFETY: it is the address of the function of this name, whose C
                        // declaration in Khronos' registry has these parameters.
                        address => unsafe {
                            transmute::<usize, unsafe extern "system" fn($($type),*) $(-> $result)?>(
                                address,
                            )
                        },
                    },)*
                })
            }

            $(
                /// # Safety The context must be current, and each pointer must be valid for what
                /// OpenGL reads or writes.
                #[allow(clippy::too_many_arguments, reason = "OpenGL's own parameters")]
                pub unsafe fn $name(&self, $($arg: $type),*) $(-> $result)? {
                    // SAFETY: the caller's promise.
                    unsafe { (self.$name)($($arg),*) }
                }
            )*
        }
    };
}

functions! {
    active_texture = "glActiveTexture" (unit: u32);
    attach_shader = "glAttachShader" (program: u32, shader: u32);
    bind_buffer = "glBindBuffer" (target: u32, buffer: u32);
    bind_framebuffer = "glBindFramebuffer" (target: u32, framebuffer: u32);
    bind_texture = "glBindTexture" (target: u32, texture: u32);
    bind_vertex_array = "glBindVertexArray" (array: u32);
    blit_framebuffer = "glBlitFramebuffer" (
        x0: i32, y0: i32, x1: i32, y1: i32, to_x0: i32, to_y0: i32, to_x1: i32, to_y1: i32, mask: u32, filter: u32);
    buffer_data = "glBufferData" (target: u32, size: isize, data: *const c_void, usage: u32);
    check_framebuffer_status = "glCheckFramebufferStatus" (target: u32) -> u32;
    client_wait_sync = "glClientWaitSync" (sync: *const c_void, flags: u32, nanoseconds: u64) -> u32;
    compile_shader = "glCompileShader" (shader: u32);
    create_program = "glCreateProgram" () -> u32;
    create_shader = "glCreateShader" (kind: u32) -> u32;
    delete_buffers = "glDeleteBuffers" (count: i32, buffers: *const u32);
    delete_framebuffers = "glDeleteFramebuffers" (count: i32, framebuffers: *const u32);
    delete_program = "glDeleteProgram" (program: u32);
    delete_shader = "glDeleteShader" (shader: u32);
    delete_sync = "glDeleteSync" (sync: *const c_void);
    delete_textures = "glDeleteTextures" (count: i32, textures: *const u32);
    delete_vertex_arrays = "glDeleteVertexArrays" (count: i32, arrays: *const u32);
    disable = "glDisable" (capability: u32);
    draw_arrays = "glDrawArrays" (mode: u32, first: i32, count: i32);
    enable = "glEnable" (capability: u32);
    fence_sync = "glFenceSync" (condition: u32, flags: u32) -> *const c_void;
    framebuffer_texture_2d = "glFramebufferTexture2D" (
        target: u32, attachment: u32, kind: u32, texture: u32, level: i32);
    gen_buffers = "glGenBuffers" (count: i32, buffers: *mut u32);
    gen_framebuffers = "glGenFramebuffers" (count: i32, framebuffers: *mut u32);
    gen_textures = "glGenTextures" (count: i32, textures: *mut u32);
    gen_vertex_arrays = "glGenVertexArrays" (count: i32, arrays: *mut u32);
    get_error = "glGetError" () -> u32;
    get_program_info_log = "glGetProgramInfoLog" (
        program: u32, room: i32, length: *mut i32, text: *mut c_char);
    get_programiv = "glGetProgramiv" (program: u32, name: u32, value: *mut i32);
    get_shader_info_log = "glGetShaderInfoLog" (
        shader: u32, room: i32, length: *mut i32, text: *mut c_char);
    get_shaderiv = "glGetShaderiv" (shader: u32, name: u32, value: *mut i32);
    get_uniform_location = "glGetUniformLocation" (program: u32, name: *const c_char) -> i32;
    link_program = "glLinkProgram" (program: u32);
    map_buffer_range = "glMapBufferRange" (
        target: u32, offset: isize, length: isize, access: u32) -> *mut c_void;
    pixel_storei = "glPixelStorei" (name: u32, value: i32);
    read_pixels = "glReadPixels" (
        x: i32, y: i32, width: i32, height: i32, format: u32, kind: u32, pixels: *mut c_void);
    shader_source = "glShaderSource" (
        shader: u32, count: i32, texts: *const *const c_char, lengths: *const i32);
    tex_image_2d = "glTexImage2D" (
        target: u32, level: i32, internal: i32, width: i32, height: i32, border: i32, format: u32, kind: u32,
        pixels: *const c_void);
    tex_parameteri = "glTexParameteri" (target: u32, name: u32, value: i32);
    tex_sub_image_2d = "glTexSubImage2D" (
        target: u32, level: i32, x: i32, y: i32, width: i32, height: i32, format: u32, kind: u32,
        pixels: *const c_void);
    uniform_1i = "glUniform1i" (location: i32, value: i32);
    uniform_2f = "glUniform2f" (location: i32, x: f32, y: f32);
    uniform_2i = "glUniform2i" (location: i32, x: i32, y: i32);
    uniform_4iv = "glUniform4iv" (location: i32, count: i32, values: *const i32);
    unmap_buffer = "glUnmapBuffer" (target: u32) -> u8;
    use_program = "glUseProgram" (program: u32);
    viewport = "glViewport" (x: i32, y: i32, width: i32, height: i32);
}

/// The values of OpenGL's constants, from Khronos' registry.
pub mod constants {
    pub const ALREADY_SIGNALED: u32 = 0x911A;
    pub const BLEND: u32 = 0x0BE2;
    pub const CLAMP_TO_EDGE: i32 = 0x812F;
    pub const COLOR_ATTACHMENT0: u32 = 0x8CE0;
    pub const COLOR_BUFFER_BIT: u32 = 0x4000;
    pub const COMPILE_STATUS: u32 = 0x8B81;
    pub const CONDITION_SATISFIED: u32 = 0x911C;
    pub const CONTEXT_LOST: u32 = 0x0507;
    pub const CULL_FACE: u32 = 0x0B44;
    pub const DEPTH_TEST: u32 = 0x0B71;
    pub const DITHER: u32 = 0x0BD0;
    pub const DRAW_FRAMEBUFFER: u32 = 0x8CA9;
    pub const FRAGMENT_SHADER: u32 = 0x8B30;
    pub const FRAMEBUFFER: u32 = 0x8D40;
    pub const FRAMEBUFFER_COMPLETE: u32 = 0x8CD5;
    pub const LINEAR: i32 = 0x2601;
    pub const LINK_STATUS: u32 = 0x8B82;
    pub const MAP_READ_BIT: u32 = 0x0001;
    pub const NEAREST: i32 = 0x2600;
    pub const NO_ERROR: u32 = 0;
    pub const PACK_ALIGNMENT: u32 = 0x0D05;
    pub const PACK_ROW_LENGTH: u32 = 0x0D02;
    pub const PIXEL_PACK_BUFFER: u32 = 0x88EB;
    pub const PIXEL_UNPACK_BUFFER: u32 = 0x88EC;
    pub const R16I: i32 = 0x8233;
    pub const READ_FRAMEBUFFER: u32 = 0x8CA8;
    pub const RED_INTEGER: u32 = 0x8D94;
    pub const RG16UI: i32 = 0x823A;
    pub const RGBA: u32 = 0x1908;
    pub const RGBA16I: i32 = 0x8D88;
    pub const RGBA8: i32 = 0x8058;
    pub const RGBA_INTEGER: u32 = 0x8D99;
    pub const RG_INTEGER: u32 = 0x8228;
    pub const SCISSOR_TEST: u32 = 0x0C11;
    pub const SHORT: u32 = 0x1402;
    pub const STREAM_READ: u32 = 0x88E1;
    pub const SYNC_FLUSH_COMMANDS_BIT: u32 = 1;
    pub const SYNC_GPU_COMMANDS_COMPLETE: u32 = 0x9117;
    pub const TEXTURE0: u32 = 0x84C0;
    pub const TEXTURE_2D: u32 = 0x0DE1;
    pub const TEXTURE_MAG_FILTER: u32 = 0x2800;
    pub const TEXTURE_MIN_FILTER: u32 = 0x2801;
    pub const TEXTURE_WRAP_S: u32 = 0x2802;
    pub const TEXTURE_WRAP_T: u32 = 0x2803;
    pub const TIMEOUT_EXPIRED: u32 = 0x911B;
    pub const TRIANGLES: u32 = 0x0004;
    pub const UNPACK_ALIGNMENT: u32 = 0x0CF5;
    pub const UNPACK_ROW_LENGTH: u32 = 0x0CF2;
    pub const UNSIGNED_BYTE: u32 = 0x1401;
    pub const UNSIGNED_SHORT: u32 = 0x1403;
    pub const VERTEX_SHADER: u32 = 0x8B31;
}
