// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inference, the second stage: runs the generator on the tensors of a frame.

use std::{sync::Arc, time::Duration};

use super::TranslateError;
use crate::cycleganfilter::CAT;
use cyclegan_frame::{LumaPlane, MAX_REGIONS, Region, Size};
use cyclegan_runtime::{
    Binding, BindingOptions, Generator, Interrupt, Provider, RunError, Values, ValuesMut,
};

/// The tensors of one frame in flight. The stages pass it on, so only one uses it at a time.
///
/// The generator sees the frame as one picture, or as one picture per region. If batches are faster,
/// see [`largest_batch`], the pictures are split into batches whose sizes are powers of two: five into
/// one of four and one of one.
pub struct Request {
    generator: Arc<Generator>,
    pub(super) tensor: Size,
    /// A power of two; 1 to run pictures one by one.
    largest_batch: u32,
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
    /// Allocates tensors of size `tensor` for one picture. Frames with several pictures use batches of
    /// up to `largest_batch`.
    pub fn new(
        generator: Arc<Generator>,
        tensor: Size,
        largest_batch: u32,
    ) -> Result<Self, TranslateError> {
        let mut request = Self {
            generator,
            tensor,
            largest_batch,
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
            let batch = (1 << left.ilog2()).min(self.largest_batch);
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

    /// Runs the generator until `interrupt` is set. Returns how long that took, without the wait for
    /// other users of the session.
    pub fn infer(&mut self, interrupt: &Interrupt) -> Result<Duration, TranslateError> {
        let mut inference = Duration::ZERO;
        for &binding in &self.runs {
            inference += self.bindings[binding].1.run_until(interrupt)?;
        }
        Ok(inference)
    }

    /// Runs each batch size that regions may need once, so that no frame has to wait for its
    /// preparation. Returns the largest batch: 1 if batches fail, as in files that declare a dynamic
    /// batch axis for a graph made for one image.
    pub(super) fn warm_up_batches(&mut self, interrupt: &Interrupt) -> Result<u32, TranslateError> {
        if self.largest_batch > 1 {
            // One batch of each power of two.
            let count = 2 * self.largest_batch as usize - 1;
            match self.resize(count).and_then(|()| self.infer(interrupt)) {
                Err(TranslateError::Run(error)) if !matches!(error, RunError::Interrupted) => {
                    let file = self.generator.path().display();
                    gst::warning!(CAT, "{file}: regions are translated one by one: {error}");
                    self.largest_batch = 1;
                    self.bindings.retain(|(batch, _)| *batch == 1);
                    self.places.clear();
                }
                result => drop(result?),
            }
            self.resize(1)?;
        }
        Ok(self.largest_batch)
    }
}

/// The largest batch that is faster than single pictures on `threads` threads, 0 for one per core.
///
/// On a CPU, threads wait for each other less often in a batch. On two cores, batches of four 128×128
/// pictures take 0.75 times as long in int8 and 0.86 times in float32; at 256×256 they take 0.93 and 0.95
/// times as long. With one thread they take up to 1.1 times as long, because less of a batch fits its
/// caches. Larger batches gain little more and take more memory. A provider that compiles the model for each
/// shape would do so again for each size of a batch.
pub fn largest_batch(generator: &Generator, threads: u32) -> u32 {
    match generator.takes_batches() {
        true => largest_batch_on(generator.provider(), threads),
        false => 1,
    }
}

fn largest_batch_on(provider: Provider, threads: u32) -> u32 {
    const ON_CPU: u32 = 4;
    match provider {
        _ if provider.is_per_shape() => 1,
        Provider::Cpu if cyclegan_runtime::thread_count(threads) == 1 => 1,
        Provider::Cpu => ON_CPU,
        _ => MAX_REGIONS as u32,
    }
}

#[cfg(test)]
mod tests {
    use cyclegan_contract::{Direction, onnx::Message};
    use cyclegan_runtime::{LoadOptions, Pair, ProviderOptions};

    use cyclegan_test_support::generators;

    use super::*;

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
        request.infer(&Interrupt::default()).unwrap();
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
        for (largest, runs, bindings) in
            [(1, [1, 5, 16, 3, 0, 7], 16), (4, [1, 2, 4, 2, 0, 3], 6), (16, [1, 2, 1, 2, 0, 3], 5)]
        {
            let tensor = Size { width: 32, height: 32 };
            let mut request = Request::new(generator.clone(), tensor, largest).unwrap();
            for (count, runs) in [1, 5, 16, 3, 0, 7].into_iter().zip(runs) {
                assert_each_has_its_own(&mut request, count);
                assert_eq!(request.runs.len(), runs, "{count} in batches of up to {largest}");
            }
            request.warm_up_batches(&Interrupt::default()).unwrap();
            assert_eq!(request.bindings.len(), bindings, "in batches of up to {largest}");
            assert_each_has_its_own(&mut request, 13);
        }
    }

    #[test]
    fn one_thread_takes_pictures_one_by_one() {
        gst::init().unwrap();
        assert_eq!([1, 2, 8].map(|threads| largest_batch(&invert(), threads)), [1, 4, 4]);
    }

    #[test]
    fn providers_that_compile_for_each_shape_take_pictures_one_by_one() {
        use Provider::{CoreMl, Cuda, DirectMl, MiGraphX, OpenVino, TensorRt, WebGpu};
        for provider in [TensorRt, OpenVino, CoreMl, MiGraphX, DirectMl] {
            assert_eq!(largest_batch_on(provider, 0), 1, "{provider}");
        }
        assert_eq!([Cuda, WebGpu].map(|provider| largest_batch_on(provider, 0)), [16, 16]);
    }
}
