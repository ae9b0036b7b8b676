// SPDX-License-Identifier: MIT OR Apache-2.0

//! The OpenGL objects with which layers are drawn over a frame.

use cyclegan_frame::{Rect, Size, Tap, taps};
use gst_gl::GLContext;

use super::{
    Error,
    functions::{Functions, constants::*},
    layer::{Layer, Layers, MOST},
    renderer::{Renderer, fill_texture, new_texture},
    thread::Objects,
};

/// The shader, and the textures of its layers.
pub struct Canvas {
    renderer: Renderer,
    uniforms: Uniforms,
    /// Size of the frame in pixels.
    frame: (i32, i32),
    /// Size of the largest residual.
    largest: Size,
    /// Number of layers that the textures have room for.
    room: usize,
    /// The residuals, in a grid of places of the largest size.
    residuals: u32,
    /// The mattes in the same places, 0 until there are any.
    mattes: u32,
    /// Two rows of taps for each layer.
    taps: u32,
    /// The sizes that each layer's taps are for: of the crop and of the residual.
    taps_for: Vec<Option<(Size, Size)>>,
    /// Scratch memory for a row of taps.
    row: Vec<[u16; 2]>,
}

/// The locations of the shader's uniforms.
struct Uniforms {
    count: i32,
    has_mattes: i32,
    areas: i32,
    origins: i32,
    lasts: i32,
}

/// Columns of the grid, if it has more than one place: rows alone would exceed the largest texture.
const COLUMNS: usize = 4;

impl Canvas {
    /// For frames of `frame` pixels and residuals of at most `largest`.
    pub fn new(context: &GLContext, largest: Size, frame: (u32, u32)) -> Result<Self, Error> {
        let textures = [c"frame", c"residuals", c"mattes", c"taps"];
        let renderer = Renderer::new(context, include_str!("compose.frag"), &textures)?;
        let uniforms = Uniforms {
            count: renderer.uniform(c"count"),
            has_mattes: renderer.uniform(c"has_mattes"),
            areas: renderer.uniform(c"areas"),
            origins: renderer.uniform(c"origins"),
            lasts: renderer.uniform(c"lasts"),
        };
        Ok(Self {
            renderer,
            uniforms,
            frame: (frame.0 as i32, frame.1 as i32),
            largest,
            room: 0,
            residuals: 0,
            mattes: 0,
            taps: 0,
            taps_for: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Uploads the residuals and mattes of `layers`, and the taps of those whose size is new.
    /// Returns the number of bytes.
    pub fn upload(&mut self, layers: &Layers) -> Result<usize, Error> {
        self.make_room(layers.positions.len(), layers.has_mattes)?;
        let (mut pixels, mut mattes) = (layers.pixels.as_slice(), layers.mattes.as_slice());
        let mut bytes = 0;
        for (index, layer) in layers.positions.iter().enumerate() {
            let (x, y) = self.place(index);
            let size = (layer.size.width as i32, layer.size.height as i32);
            let area = (x, y, size.0, size.1);
            let kind = (RGBA_INTEGER, SHORT);
            bytes += self.fill(self.residuals, area, kind, &mut pixels)?;
            if layers.has_mattes {
                bytes += self.fill(self.mattes, area, (RED_INTEGER, SHORT), &mut mattes)?;
            }
            bytes += self.update_taps(index, layer)?;
        }
        Ok(bytes)
    }

    /// Draws `source` with `layers`, which were uploaded, into `target`.
    pub fn draw(
        &self,
        context: &GLContext,
        layers: &Layers,
        source: u32,
        target: u32,
    ) -> Result<(), Error> {
        let Self { frame: (width, height), uniforms, .. } = self;
        let has_mattes = layers.has_mattes;
        let mut areas = [[0; 4]; MOST];
        let mut ends = [[0; 4]; MOST];
        let mut origins = [[0; 4]; MOST];
        let mut lasts = [[0; 4]; MOST];
        for (index, layer) in layers.positions.iter().enumerate().take(MOST) {
            let Layer { area, crop, size } = layer;
            let [x, y, width, height] = rectangle(area);
            areas[index] = [x, y, width, height];
            ends[index] = [x, y, x + width, y + height];
            let place = self.place(index);
            origins[index] = [crop.x as i32, crop.y as i32, place.0, place.1];
            lasts[index] = [size.width as i32 - 1, size.height as i32 - 1, 0, 0];
        }
        let count = layers.positions.len().min(MOST);
        let whole = [0, 0, *width, *height];
        let mut areas = &areas[..count];
        // Mattes replace the alpha of the whole frame. Otherwise only the pixels that layers change are
        // drawn, and the others are copied, which is faster. Where two layers overlap, both areas give the same.
        if has_mattes {
            areas = std::slice::from_ref(&whole);
        } else if !areas.contains(&whole) {
            self.renderer.copy(context, source, (target, *width, *height))?;
        }
        if areas.is_empty() {
            return Ok(());
        }
        let mattes = if has_mattes { self.mattes } else { self.residuals };
        let textures = [source, self.residuals, mattes, self.taps];
        let set = |gl: &Functions| {
            let arrays =
                [(uniforms.areas, &ends), (uniforms.origins, &origins), (uniforms.lasts, &lasts)];
            // SAFETY: this is the context's thread, and each array is as long as the shader's.
            unsafe {
                gl.uniform_1i(uniforms.count, count as i32);
                gl.uniform_1i(uniforms.has_mattes, i32::from(has_mattes));
                for (place, array) in arrays {
                    gl.uniform_4iv(place, MOST as i32, array.as_ptr().cast());
                }
            }
        };
        self.renderer.draw(context, &textures, target, areas, set, |_| {})
    }

    /// The corner of the place of layer `index`.
    fn place(&self, index: usize) -> (i32, i32) {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        (column as i32 * self.largest.width as i32, row as i32 * self.largest.height as i32)
    }

    /// Makes room for `count` layers, and for mattes if there are any.
    fn make_room(&mut self, count: usize, has_mattes: bool) -> Result<(), Error> {
        let gl = self.renderer.gl;
        if self.room < count.max(1) {
            self.delete_textures();
            self.room = if count <= 1 { 1 } else { count.next_multiple_of(COLUMNS) };
            let lines = (self.frame.0.max(self.frame.1), 2 * self.room as i32);
            let grid = self.grid();
            self.renderer.forget_errors();
            // SAFETY: this is the context's thread.
            unsafe {
                self.taps = new_texture(&gl, lines, (RG16UI, RG_INTEGER, UNSIGNED_SHORT));
                self.residuals = new_texture(&gl, grid, (RGBA16I, RGBA_INTEGER, SHORT));
            }
            self.taps_for.clear();
            self.taps_for.resize(self.room, None);
            self.check_textures()?;
        }
        if has_mattes && self.mattes == 0 {
            self.renderer.forget_errors();
            // SAFETY: this is the context's thread.
            self.mattes = unsafe { new_texture(&gl, self.grid(), (R16I, RED_INTEGER, SHORT)) };
            self.check_textures()?;
        }
        Ok(())
    }

    /// Size of the grid in pixels.
    fn grid(&self) -> (i32, i32) {
        let (columns, rows) = (self.room.min(COLUMNS), self.room.div_ceil(COLUMNS));
        (columns as i32 * self.largest.width as i32, rows as i32 * self.largest.height as i32)
    }

    /// Deletes the textures if one of them could not be created.
    fn check_textures(&mut self) -> Result<(), Error> {
        let result = self.renderer.error("glTexImage2D");
        if result.is_err() {
            self.delete_textures();
        }
        result
    }

    fn delete_textures(&mut self) {
        let textures = [self.residuals, self.mattes, self.taps];
        // SAFETY: this is the context's thread; the pointer is that of three numbers, of which
        // OpenGL ignores zeros.
        unsafe { self.renderer.gl.delete_textures(3, textures.as_ptr()) };
        (self.residuals, self.mattes, self.taps, self.room) = (0, 0, 0, 0);
    }

    /// Uploads the taps of `layer`, unless they are there. Returns the number of bytes.
    fn update_taps(&mut self, index: usize, layer: &Layer) -> Result<usize, Error> {
        let Layer { crop, size, .. } = layer;
        let wanted = Some((crop.size, *size));
        if self.taps_for[index] == wanted {
            return Ok(0);
        }
        let mut bytes = 0;
        for (line, from, to) in
            [(0, size.width, crop.size.width), (1, size.height, crop.size.height)]
        {
            self.row.clear();
            let pairs = taps(from, to).map(|Tap { before, weight, .. }| [before as u16, weight]);
            self.row.extend(pairs);
            let area = (0, (2 * index) as i32 + line, to as i32, 1);
            let row = std::mem::take(&mut self.row);
            bytes +=
                self.fill(self.taps, area, (RG_INTEGER, UNSIGNED_SHORT), &mut row.as_slice())?;
            self.row = row;
        }
        self.taps_for[index] = wanted;
        Ok(bytes)
    }

    /// Fills `area` (x, y, width, height) of `texture` with the first of `values`, and removes
    /// these. Returns the number of bytes.
    fn fill<T>(
        &self,
        texture: u32,
        area: (i32, i32, i32, i32),
        kind: (u32, u32),
        values: &mut &[T],
    ) -> Result<usize, Error> {
        let count = area.2 as usize * area.3 as usize;
        let Some((pixels, rest)) = values.split_at_checked(count) else {
            return Err(Error::Frame(format!(
                "a layer of it has {} of {count} values",
                values.len()
            )));
        };
        *values = rest;
        // SAFETY: this is the context's thread, and the pixels are as many as the area's.
        unsafe { fill_texture(&self.renderer.gl, texture, area, kind, pixels) };
        Ok(size_of_val(pixels))
    }
}

/// As x, y, width and height.
fn rectangle(rect: &Rect) -> [i32; 4] {
    [rect.x, rect.y, rect.size.width, rect.size.height].map(|number| number as i32)
}

impl Objects for Canvas {
    fn delete(&mut self) {
        self.delete_textures();
        self.renderer.delete();
    }
}
