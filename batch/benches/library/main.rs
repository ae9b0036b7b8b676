// SPDX-License-Identifier: MIT OR Apache-2.0

//! A folder of ten short clips through `cyclegan-batch`, compared with a shell loop over `gst-launch-1.0` with the same
//! elements and with a Python program that uses ffmpeg and ONNX Runtime; then the memory of a long run:
//! `./dev bench batch`.
//!
//! `MODEL` names the generator's file, `CLIPS` a folder of clips instead of the ten of 960×540 that are made on the spot, and
//! `BENCH_PYTHON` a Python with numpy and onnxruntime.

mod memory;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use cyclegan_test_support::plugin;

const CLIPS: usize = 10;
const ROUNDS: usize = 3;
/// The video of the preset `web`, as `gst-launch-1.0` takes it.
const ENCODE: &str = "videocrop ! videoconvert ! video/x-raw,format=(string){I420,NV12,YV12} \
                      ! x264enc pass=qual quantizer=21 speed-preset=medium";
const UPRIGHT: &str = "videoconvert ! videoflip video-direction=auto ! deinterlace fields=top";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clips = match env::var_os("CLIPS") {
        Some(clips) => PathBuf::from(clips),
        None => make_clips(folder.path())?,
    };
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/horse2zebra/G.int8.onnx");
    let model = env::var("MODEL").unwrap_or_else(|_| default.to_owned());
    if !Path::new(&model).is_file() {
        return Err(format!("{model} is not a file; set MODEL to an ONNX generator").into());
    }
    let model = fs::canonicalize(model)?.to_str().ok_or("the model's path is no UTF-8")?.to_owned();
    let bench = Bench { clips, model, out: folder.path().join("out") };
    let whole = bench.compare()?;
    bench.share_out(whole)?;
    memory::measure(folder.path(), &bench.model)
}

/// Ten clips of two seconds, 960×540, with sound.
fn make_clips(folder: &Path) -> Result<PathBuf> {
    let clips = folder.join("clips");
    fs::create_dir(&clips)?;
    for number in 0..CLIPS {
        let clip = clips.join(format!("{number}.mp4"));
        launch(&format!(
            "videotestsrc num-buffers=50 pattern=ball motion=sweep background-color={} \
             ! video/x-raw,width=960,height=540,framerate=25/1 ! x264enc speed-preset=veryfast ! mux. \
             audiotestsrc num-buffers=86 ! audio/x-raw,rate=44100 ! avenc_aac ! mux. \
             mp4mux name=mux ! filesink location={}",
            0xff00_4000_u32 + 20 * number as u32,
            clip.display()
        ))?;
    }
    Ok(clips)
}

struct Bench {
    clips: PathBuf,
    model: String,
    out: PathBuf,
}

impl Bench {
    /// Prints the table; returns the median seconds of the program as it comes.
    fn compare(&self) -> Result<f64> {
        let ways: [(&str, &dyn Fn() -> Result<()>); 4] = [
            ("a Python program with ffmpeg and ONNX Runtime", &|| self.python()),
            ("a shell loop over gst-launch-1.0", &|| self.shell_loop()),
            ("cyclegan-batch --jobs 1", &|| self.batch(&["--jobs", "1"])),
            ("cyclegan-batch", &|| self.batch(&[])),
        ];
        let mut seconds = ways.map(|_| Vec::new());
        let mut cores = ways.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (i, (_, way)) in ways.iter().enumerate() {
                let _ = fs::remove_dir_all(&self.out);
                fs::create_dir(&self.out)?;
                let (begun, cpu) = (Instant::now(), cpu_seconds()?);
                way()?;
                let elapsed = begun.elapsed().as_secs_f64();
                seconds[i].push(elapsed);
                cores[i].push((cpu_seconds()? - cpu) / elapsed);
            }
        }
        let machine = std::thread::available_parallelism()?;
        println!("Ten clips of 960×540, {machine} cores, {ROUNDS} rounds\n");
        println!("| | seconds | cores busy |\n| --- | --- | --- |");
        for ((name, _), (seconds, cores)) in ways.iter().zip(seconds.iter_mut().zip(&mut cores)) {
            let (least, median, most) = spread(seconds);
            println!("| {name} | {median:.1} ({least:.1}–{most:.1}) | {:.2} |", spread(cores).1);
        }
        let [.., whole] = &mut seconds;
        Ok(spread(whole).1)
    }

    /// Prints which stage takes how much of the `whole` seconds.
    fn share_out(&self, whole: f64) -> Result<()> {
        let filter = format!("cycleganfilter model={}", self.model);
        let decode = self.cpu_of("! fakesink")?;
        let translated = self.cpu_of(&format!("! {filter} ! fakesink"))?;
        let encoded = self.cpu_of(&format!("! {UPRIGHT} ! {ENCODE} ! fakesink"))?;
        println!("\n| stage | CPU seconds | cores over {whole:.1} s |\n| --- | --- | --- |");
        for (stage, seconds) in
            [("decode", decode), ("filter", translated - decode), ("encode", encoded - decode)]
        {
            println!("| {stage} | {seconds:.1} | {:.2} |", seconds / whole);
        }
        Ok(())
    }

    fn batch(&self, arguments: &[&str]) -> Result<()> {
        run(batch(&self.clips, &self.model, &self.out)?.args(arguments))
    }

    fn python(&self) -> Result<()> {
        let python = env::var("BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/python/ffmpeg.py"));
        run(command.arg(&self.clips).arg(&self.model).arg(&self.out))
    }

    fn shell_loop(&self) -> Result<()> {
        let pipeline = format!(
            "for clip in \"$1\"/*; do gst-launch-1.0 -q filesrc location=\"$clip\" ! parsebin name=in \
             ! decodebin ! queue max-size-buffers=3 ! {UPRIGHT} ! cycleganfilter model=\"$2\" \
             ! queue max-size-buffers=3 ! {ENCODE} ! queue ! mp4mux name=out faststart=true \
             ! filesink location=\"$3/${{clip##*/}}\"  in. ! queue max-size-time=0 max-size-bytes=0 \
             max-size-buffers=0 ! out. || exit; done",
        )
        .replace("(string){I420,NV12,YV12}", "I420");
        let mut shell = Command::new("sh");
        shell.args(["-c", &pipeline, "sh"]).arg(&self.clips).arg(&self.model).arg(&self.out);
        run(with_plugin(&mut shell)?)
    }

    /// The CPU's seconds for decoding all clips and then doing `what`.
    fn cpu_of(&self, what: &str) -> Result<f64> {
        let before = cpu_seconds()?;
        for clip in fs::read_dir(&self.clips)? {
            let clip = clip?.path();
            launch(&format!("filesrc location={} ! decodebin ! queue {what}", clip.display()))?;
        }
        Ok(cpu_seconds()? - before)
    }
}

/// `cyclegan-batch` on all of `inputs`.
fn batch(inputs: &Path, model: &str, out: &Path) -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cyclegan-batch"));
    command.arg(inputs).args(["--model", model]).arg("--out").arg(out);
    with_plugin(&mut command)?;
    Ok(command)
}

fn launch(description: &str) -> Result<()> {
    let mut command = Command::new("gst-launch-1.0");
    run(with_plugin(command.arg("-q").args(description.split_whitespace()))?)
}

/// Makes GStreamer find the plugin that was built with this program.
fn with_plugin(command: &mut Command) -> Result<&mut Command> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let plugins = own.join("bench-plugins");
    if !plugins.is_dir() {
        fs::create_dir_all(&plugins)?;
        let library = plugin::beside_test();
        std::os::unix::fs::symlink(library, plugins.join(plugin::file_name()))?;
    }
    command.env("GST_PLUGIN_PATH", plugins).env("GST_REGISTRY_1_0", own.join("bench-registry.bin"));
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Seconds of the CPU that all processes have taken that this one has started and that have ended.
fn cpu_seconds() -> Result<f64> {
    /// Linux counts for programs in hundredths, whatever the kernel does.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| -> Result<f64> { Ok(fields.get(field).ok_or("no times")?.parse()?) };
    // Fields 16 and 17 of proc_pid_stat(5), where the state is 3.
    Ok((ticks(13)? + ticks(14)?) / TICKS)
}

/// Least, median, most.
fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}
