// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inference, the second stage: runs the generator on the tensors of a frame.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::TranslateError;
use cyclegan_frame::{LumaPlane, MAX_REGIONS, Region, Size};
use cyclegan_runtime::{Binding, BindingOptions, Generator, Provider, Values, ValuesMut};

/// The tensors of one frame in flight. The stages pass it on, so only one uses it at a time.
///
/// The generator sees the frame as one picture, or as one picture per region. If the provider is
/// faster with batches, the pictures are split into batches whose sizes are powers of two: five
/// into one of four and one of one.
pub struct Request {
    generator: Arc<Generator>,
    pub(super) tensor: Size,
    has_batches: bool,
    /// The tensors, and how many pictures each binding takes. Unused ones are kept for later
    /// frames.
    bindings: Vec<(u32, Binding)>,
    /// Indices of the bindings that this frame uses.
    runs: Vec<usize>,
    /// For each picture, the index of its binding and its position in the batch.
    places: Vec<(usize, u32)>,
    /// The luma of each picture, for smoothing.
    luma: Vec<LumaPlane>,
    /// The region that each picture shows; empty if it shows the frame.
    pub(super) regions: Vec<Region>,
}

impl Request {
    /// Allocates tensors of size `tensor` for one picture.
    pub fn new(generator: Arc<Generator>, tensor: Size) -> Result<Self, TranslateError> {
        let provider = generator.provider();
        // Batches are no faster on a CPU, and some providers compile an engine for each batch size.
        let pay = provider != Provider::Cpu && !provider.compiles_engines();
        let has_batches = pay && generator.takes_batches();
        let mut request = Self {
            generator,
            tensor,
            has_batches,
            bindings: Vec::new(),
            runs: Vec::new(),
            places: Vec::new(),
            luma: Vec::new(),
            regions: Vec::new(),
        };
        request.resize(1)?;
        Ok(request)
    }

    /// Sets the number of pictures.
    pub(super) fn resize(&mut self, count: usize) -> Result<(), TranslateError> {
        if self.places.len() == count {
            return Ok(());
        }
        self.runs.clear();
        self.places.clear();
        let mut left = count as u32;
        while left > 0 {
            let batch = if self.has_batches { 1 << left.ilog2() } else { 1 };
            let index = self.unused(batch)?;
            self.runs.push(index);
            self.places.extend((0..batch).map(|picture| (index, picture)));
            left -= batch;
        }
        while self.luma.len() < count {
            self.luma.push(LumaPlane::new(self.tensor));
        }
        Ok(())
    }

    /// The index of a binding for `batch` pictures that this frame does not use yet.
    fn unused(&mut self, batch: u32) -> Result<usize, TranslateError> {
        let is_unused = |&(index, (own, _)): &(usize, &(u32, Binding))| {
            *own == batch && !self.runs.contains(&index)
        };
        if let Some((index, _)) = self.bindings.iter().enumerate().find(is_unused) {
            return Ok(index);
        }
        let options = BindingOptions { size: self.tensor, batch, mask: true };
        self.bindings.push((batch, Binding::new(self.generator.clone(), options)?));
        Ok(self.bindings.len() - 1)
    }

    /// The number of pictures.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The input tensor of picture `index`.
    pub(super) fn input_mut(&mut self, index: usize) -> Result<ValuesMut<'_>, TranslateError> {
        let (binding, picture) = self.places[index];
        Ok(self.bindings[binding].1.picture_mut(picture)?)
    }

    /// The input and output tensors of picture `index`.
    pub(super) fn values(&self, index: usize) -> Result<(Values<'_>, Values<'_>), TranslateError> {
        let (binding, picture) = self.places[index];
        Ok(self.bindings[binding].1.picture(picture)?)
    }

    /// The mask of picture `index`, if the generator has one.
    pub(super) fn mask(&self, index: usize) -> Result<Option<Values<'_>>, TranslateError> {
        let (binding, picture) = self.places[index];
        Ok(self.bindings[binding].1.picture_mask(picture)?)
    }

    /// The luma of picture `index`.
    pub(super) fn luma_mut(&mut self, index: usize) -> &mut LumaPlane {
        &mut self.luma[index]
    }

    /// Runs the generator. Returns how long that took, including the wait for other users of the
    /// session.
    pub fn infer(&mut self) -> Result<Duration, TranslateError> {
        let start = Instant::now();
        for &binding in &self.runs {
            self.bindings[binding].1.run()?;
        }
        Ok(start.elapsed())
    }

    /// Runs each batch size that regions may need once, so that no frame has to wait for its
    /// preparation.
    pub(super) fn warm_up_batches(&mut self) -> Result<(), TranslateError> {
        if self.has_batches {
            // One batch of each power of two.
            self.resize(2 * MAX_REGIONS - 1)?;
            self.infer()?;
            self.resize(1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::{Direction, onnx::Message};
    use cyclegan_runtime::{LoadOptions, Pair, ProviderOptions};

    use super::{super::generators, *};

    fn invert() -> Arc<Generator> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("G.onnx");
        std::fs::write(&path, generators::invert().encode_to_vec()).unwrap();
        let options = LoadOptions {
            provider: Some(Provider::Cpu),
            allow_fallback: false,
            precision: None,
            provider_options: ProviderOptions {
                device_id: 0,
                threads: 1,
                cache_dir: folder.path().to_path_buf(),
            },
        };
        let pair = Pair::load(path.to_str().unwrap(), &options).unwrap();
        pair.generator(Direction::AToB).unwrap().clone()
    }

    /// Fills each picture with a different number and compares the outputs.
    fn assert_each_has_its_own(request: &mut Request, count: usize) {
        request.resize(count).unwrap();
        for index in 0..count {
            let ValuesMut::F32(values) = request.input_mut(index).unwrap() else { panic!() };
            values.fill(index as f32 / 100.0);
        }
        request.infer().unwrap();
        for index in 0..count {
            let (Values::F32(input), Values::F32(output)) = request.values(index).unwrap() else {
                panic!()
            };
            assert_eq!((input.len(), output.len()), (3 * 32 * 32, 3 * 32 * 32));
            let expected = -(index as f32) / 100.0;
            assert!(output.iter().all(|&value| value == expected), "{index} of {count}");
        }
    }

    #[test]
    fn pictures_keep_their_places_in_batches() {
        gst::init().unwrap();
        let generator = invert();
        assert!(generator.takes_batches());
        for has_batches in [false, true] {
            let tensor = Size { width: 32, height: 32 };
            let mut request = Request::new(generator.clone(), tensor).unwrap();
            request.has_batches = has_batches;
            for count in [1, 5, 16, 3, 0, 7] {
                assert_each_has_its_own(&mut request, count);
                let runs = if has_batches { count.count_ones() as usize } else { count };
                assert_eq!(request.runs.len(), runs);
            }
            request.warm_up_batches().unwrap();
            let most = if has_batches { 5 } else { 16 };
            assert_eq!(request.bindings.len(), most, "one for each power of two");
            assert_each_has_its_own(&mut request, 13);
        }
    }
}
