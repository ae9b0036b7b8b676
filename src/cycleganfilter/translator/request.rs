// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inference, the second stage of a frame: from the input tensors to the output tensors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::TranslateError;
use cyclegan_frame::{LumaPlane, MAX_REGIONS, Region, Size};
use cyclegan_runtime::{Binding, BindingOptions, Generator, Provider, Values, ValuesMut};

/// The tensors of one frame in flight. The stage that holds it may use it; no stage waits for another.
///
/// What the generator sees of the frame is one picture or, of regions, several. Where batches pay,
/// their number is made up of batches of powers of two: five are one of four and one of one.
pub struct Request {
    generator: Arc<Generator>,
    pub(super) tensor: Size,
    has_batches: bool,
    /// Tensors and how many pictures each takes. Those that this frame does not use stay for another.
    bindings: Vec<(u32, Binding)>,
    /// Which bindings run for this frame.
    runs: Vec<usize>,
    /// Binding and number in the batch of each picture.
    places: Vec<(usize, u32)>,
    /// The pictures as the generator sees them, for smoothing.
    luma: Vec<LumaPlane>,
    /// The regions that the pictures show, where they do not show the frame.
    pub(super) regions: Vec<Region>,
}

impl Request {
    /// Tensors of the size `tensor` for one picture.
    pub fn new(generator: Arc<Generator>, tensor: Size) -> Result<Self, TranslateError> {
        let provider = generator.provider();
        // A CPU takes as long for the pictures one by one, and an engine is built for each batch.
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

    /// Makes it one for a frame of `count` pictures.
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

    /// A binding for `batch` pictures that is not among the runs of this frame.
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

    /// How many pictures the generator sees.
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

    /// Input and output of picture `index`.
    pub(super) fn values(&self, index: usize) -> Result<(Values<'_>, Values<'_>), TranslateError> {
        let (binding, picture) = self.places[index];
        Ok(self.bindings[binding].1.picture(picture)?)
    }

    /// The mask of picture `index`, if the generator has one.
    pub(super) fn mask(&self, index: usize) -> Result<Option<Values<'_>>, TranslateError> {
        let (binding, picture) = self.places[index];
        Ok(self.bindings[binding].1.picture_mask(picture)?)
    }

    /// The luma of picture `index` as the generator sees it.
    pub(super) fn luma_mut(&mut self, index: usize) -> &mut LumaPlane {
        &mut self.luma[index]
    }

    /// Runs the generator; returns how long that took, including the time in which another binding
    /// ran it.
    pub fn infer(&mut self) -> Result<Duration, TranslateError> {
        let start = Instant::now();
        for &binding in &self.runs {
            self.bindings[binding].1.run()?;
        }
        Ok(start.elapsed())
    }

    /// Runs each batch that regions may need once, so that none has to be planned for later.
    pub(super) fn warm_up_batches(&mut self) -> Result<(), TranslateError> {
        if self.has_batches {
            // All powers of two.
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

    /// Fills each picture with a number of its own and compares what comes out.
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
