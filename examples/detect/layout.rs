// SPDX-License-Identifier: MIT OR Apache-2.0

//! The layouts of detectors' outputs.

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

/// An output tensor.
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
    /// Whether they were integers, which means class numbers.
    pub is_integer: bool,
}

/// Which boxes are used.
pub struct Wanted {
    /// The numbers of the classes; all classes if empty.
    pub classes: Vec<usize>,
    /// The minimum score.
    pub threshold: f32,
}

impl Wanted {
    fn counts(&self, class: usize, score: f32) -> bool {
        score >= self.threshold && (self.classes.is_empty() || self.classes.contains(&class))
    }
}

/// A detected object.
#[derive(Debug, PartialEq)]
pub struct Detection {
    /// Left, top, right and bottom, as fractions of the image.
    pub corners: [f32; 4],
}

/// The layout of a detector's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// 1×N×(5+C): centre, size, objectness, a score for each class
    Yolov5,
    /// 1×(4+C)×N: centre, size, a score for each class
    Yolov8,
    /// 1×N×6: corners, score, class, of detectors that need no non-maximum suppression
    EndToEnd,
    /// Boxes …×N×4 of corners, left first; scores …×N or …×N×C; class numbers …×N
    Ssd,
    /// The same with the top first, as in TensorFlow
    SsdTopFirst,
}

impl Layout {
    /// The layout of outputs with these shapes.
    pub fn of(outputs: &[Output]) -> Result<Self> {
        let shapes: Vec<_> = outputs.iter().map(|output| output.shape.as_slice()).collect();
        Ok(match shapes.as_slice() {
            [[_, _, 6]] => Self::EndToEnd,
            [[_, rows, columns]] if rows > columns && *columns > 5 => Self::Yolov5,
            [[_, rows, columns]] if rows < columns && *rows > 4 => Self::Yolov8,
            [_, _, ..] if shapes.iter().any(|shape| shape.last() == Some(&4)) => Self::Ssd,
            _ => bail!(
                "the detector's outputs are {shapes:?}, expected 1×N×(5+C), 1×(4+C)×N, 1×N×6, or \
                 boxes …×N×4 with scores; set --layout if it is one of these"
            ),
        })
    }

    /// The selected boxes in `outputs`, for an input of `size`.
    pub fn read(
        self,
        outputs: &[Output],
        size: (f32, f32),
        wanted: &Wanted,
    ) -> Result<Vec<Detection>> {
        match self {
            Self::Ssd | Self::SsdTopFirst => {
                read_ssd(outputs, self == Self::SsdTopFirst, size, wanted)
            }
            _ => self.read_single(outputs.first().context("no output")?, size, wanted),
        }
    }

    /// Reads a single output tensor.
    fn read_single(
        self,
        output: &Output,
        size: (f32, f32),
        wanted: &Wanted,
    ) -> Result<Vec<Detection>> {
        let [.., rows, columns] = output.shape.as_slice() else {
            bail!("the output `{}` is {:?}, expected three axes", output.name, output.shape);
        };
        let (rows, columns) = (*rows as usize, *columns as usize);
        ensure!(
            output.values.len() >= rows * columns,
            "the output `{}` is empty, {:?}",
            output.name,
            output.shape
        );
        let (count, fields) = if self == Self::Yolov8 { (columns, rows) } else { (rows, columns) };
        ensure!(fields > 5 || self == Self::Yolov8 && fields > 4, "too few values for a box");
        let value = |i: usize, field: usize| match self {
            Self::Yolov8 => output.values[field * columns + i],
            _ => output.values[i * columns + field],
        };
        let detections = (0..count).filter_map(|i| {
            let place: [f32; 4] = std::array::from_fn(|field| value(i, field));
            let (class, score) = match self {
                Self::EndToEnd => (value(i, 5) as usize, value(i, 4)),
                Self::Yolov5 => {
                    let (class, score) = best((5..fields).map(|field| value(i, field)));
                    (class, score * value(i, 4))
                }
                _ => best((4..fields).map(|field| value(i, field))),
            };
            let corners = if self == Self::EndToEnd { place } else { from_centre(place) };
            wanted.counts(class, score).then_some(corners)
        });
        Ok(as_shares(detections.collect(), size))
    }
}

fn read_ssd(
    outputs: &[Output],
    is_top_first: bool,
    size: (f32, f32),
    wanted: &Wanted,
) -> Result<Vec<Detection>> {
    let is_boxes = |output: &&Output| output.shape.last() == Some(&4) && !output.is_integer;
    let boxes = outputs.iter().find(is_boxes).context("no output has boxes, …×N×4")?;
    let count = boxes.values.len() / 4;
    let is_classes = |output: &Output| {
        let name = output.name.to_lowercase();
        output.is_integer || name.contains("label") || name.contains("class")
    };
    let others = || outputs.iter().filter(|output| !std::ptr::eq(*output, boxes));
    let is_full = |output: &&Output| count > 0 && output.values.len() >= count;
    let scores = others().filter(is_full).find(|output| !is_classes(output));
    let Some(scores) = scores else {
        ensure!(count == 0, "no output has scores, …×N or …×N×C, for {count} boxes");
        return Ok(Vec::new());
    };
    let classes = others().filter(is_full).find(|output| is_classes(output));
    let per_box = scores.values.len() / count;
    let detections = boxes.values.chunks_exact(4).enumerate().filter_map(|(i, corners)| {
        let (class, score) = best(scores.values[i * per_box..][..per_box].iter().copied());
        let class = classes.map_or(class, |classes| classes.values[i] as usize);
        let [a, b, c, d] = std::array::from_fn(|corner| corners[corner]);
        let corners = if is_top_first { [b, a, d, c] } else { [a, b, c, d] };
        wanted.counts(class, score).then_some(corners)
    });
    Ok(as_shares(detections.collect(), size))
}

/// The number of the highest score, and that score.
fn best(scores: impl Iterator<Item = f32>) -> (usize, f32) {
    scores.enumerate().fold(
        (0, f32::MIN),
        |best, (i, score)| {
            if score > best.1 { (i, score) } else { best }
        },
    )
}

fn from_centre([x, y, width, height]: [f32; 4]) -> [f32; 4] {
    [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]
}

/// Converts corners to fractions of the image: some detectors output pixels of their input, others already
/// fractions.
fn as_shares(corners: Vec<[f32; 4]>, (width, height): (f32, f32)) -> Vec<Detection> {
    let is_in_pixels = corners.iter().flatten().any(|corner| *corner > 2.0);
    let unit = if is_in_pixels { [width, height, width, height] } else { [1.0; 4] };
    let is_finite = |corners: &[f32; 4]| corners.iter().all(|corner| corner.is_finite());
    let corners = corners.into_iter().filter(is_finite);
    corners.map(|c| Detection { corners: std::array::from_fn(|i| c[i] / unit[i]) }).collect()
}
