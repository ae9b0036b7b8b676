// SPDX-License-Identifier: MIT OR Apache-2.0

//! Distances between a student's features, mapped to the teacher's channels by a 1×1 map, and the teacher's
//! features.
//!
//! In the papers the map is trained with the student (GAN Compression, arXiv 2003.08936; OMGD, arXiv
//! 2108.06908). Here it is the best map for each batch in closed form, by ridge regression over the pixels of
//! all images. It has no weights to keep, and the distance is always the part of the teacher's features that the
//! student's do not explain.

use tch::{Kind, Tensor, no_grad};

/// The ridge, as a fraction of the mean square of the student's channels.
const RIDGE: f64 = 1e-3;

/// Features of the same positions of the same images as matrices, positions×channels in float32; the larger
/// grid is averaged to the smaller.
pub fn positions(x: &Tensor, y: &Tensor) -> [Tensor; 2] {
    let [a, b] = [x, y].map(|t| [t.size()[2], t.size()[3]]);
    let grid = [a[0].min(b[0]), a[1].min(b[1])];
    [x, y].map(|t| {
        let t = t.to_kind(Kind::Float);
        let t = if t.size()[2..] == grid { t } else { t.adaptive_avg_pool2d(grid) };
        let channels = t.size()[1];
        t.permute([0, 2, 3, 1]).reshape([-1, channels])
    })
}

/// A student's features mapped to its teacher's channels.
#[derive(Debug)]
pub struct Mapped {
    /// Positions×channels, of the student, mapped to the teacher's channels.
    own: Tensor,
    /// Positions×channels, of the teacher.
    its: Tensor,
    images: i64,
    /// The variance of the teacher's features, a mean over the channels.
    variance: Tensor,
}

impl Mapped {
    /// Maps `student` N×C×h×w as close to `teacher` N×C′×h′×w′ as possible. Gradients treat the map as
    /// constant: at the optimum it does not change to first order.
    pub fn new(student: &Tensor, teacher: &Tensor) -> Self {
        let [x, y] = positions(student, teacher);
        let y = y.detach();
        let mean = |t: &Tensor| t.mean_dim([0i64].as_slice(), true, Kind::Float);
        let (mean_x, mean_y) = no_grad(|| (mean(&x), mean(&y)));
        let map = no_grad(|| {
            let centred_x = (&x - &mean_x).to_kind(Kind::Double);
            let centred_y = (&y - &mean_y).to_kind(Kind::Double);
            let gram = centred_x.tr().matmul(&centred_x);
            let channels = gram.size()[0];
            let ridge = gram.trace() * (RIDGE / channels as f64) + f64::from(f32::MIN_POSITIVE);
            let gram = gram + Tensor::eye(channels, (Kind::Double, x.device())) * ridge;
            let cross = centred_x.tr().matmul(&centred_y);
            Tensor::linalg_solve(&gram, &cross, true).to_kind(Kind::Float)
        });
        let variance = (&y - &mean_y).square().mean(Kind::Float);
        let own = (&x - &mean_x).matmul(&map) + &mean_y;
        Self { own, its: y, images: student.size()[0], variance }
    }

    /// Mean square distance relative to the teacher's variance: 0 if the student has all of the teacher's
    /// features, 1 if it has none (GAN Compression, equation 3).
    pub fn distance(&self) -> Tensor {
        (&self.own - &self.its).square().mean(Kind::Float) / self.scale()
    }

    /// The same for each channel's mean over an image, which ignores positions (OMGD, equation 5).
    pub fn channel_distance(&self) -> Tensor {
        let means = |rows: &Tensor| {
            let channels = rows.size()[1];
            rows.view([self.images, -1, channels]).mean_dim([1i64].as_slice(), false, Kind::Float)
        };
        (means(&self.own) - means(&self.its)).square().mean(Kind::Float) / self.scale()
    }

    fn scale(&self) -> Tensor {
        self.variance.clamp_min(f64::from(f32::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(channels: i64, side: i64) -> Tensor {
        Tensor::randn([2, channels, side, side], tch::kind::FLOAT_CPU)
    }

    fn value(t: &Tensor) -> f64 {
        t.double_value(&[])
    }

    #[test]
    fn linearly_mapped_features_have_distance_0_and_noise_has_not() {
        tch::manual_seed(1);
        let student = features(6, 8);
        let map = Tensor::randn([4, 6, 1, 1], tch::kind::FLOAT_CPU);
        let teacher = student.conv2d(&map, None::<Tensor>, 1, 0, 1, 1) + 5.0;
        let same = Mapped::new(&student, &teacher);
        assert!(value(&same.distance()) < 1e-4 && value(&same.channel_distance()) < 1e-4);
        let half = Mapped::new(&student, &Tensor::cat(&[&teacher, &(features(4, 8) * 2.45)], 1));
        assert!((0.35..0.6).contains(&value(&half.distance())), "{}", value(&half.distance()));
        let other = Mapped::new(&student, &features(4, 16));
        assert!(value(&other.distance()) > 0.8, "{}", value(&other.distance()));
        // Zero features have the distance 0 and not NaN.
        let nothing = Mapped::new(&student.zeros_like(), &teacher.zeros_like());
        assert_eq!(value(&nothing.distance()), 0.0);
    }

    /// Gradients treat the map as constant, which is exact for the best map except for the ridge.
    #[test]
    fn the_gradient_matches_finite_differences_of_the_best_map() {
        tch::manual_seed(2);
        let (student, teacher) = (features(3, 4), features(5, 4));
        let leaf = student.copy().set_requires_grad(true);
        let loss = Mapped::new(&leaf, &teacher).distance();
        let gradient = Tensor::run_backward(&[loss], &[&leaf], false, false).remove(0);
        let direction = &gradient / gradient.norm();
        let at =
            |far: f64| value(&Mapped::new(&(&student + &direction * far), &teacher).distance());
        let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
        let length = value(&gradient.norm());
        assert!((slope / length - 1.0).abs() < 0.05, "{slope} {length}");
    }
}
