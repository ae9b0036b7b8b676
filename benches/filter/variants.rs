// SPDX-License-Identifier: MIT OR Apache-2.0

//! The variants of a generator compared with each other and with another project's generator. The bare sessions run
//! alternately in one process; the filter runs in a separate process for each, also alternately.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
};

use cyclegan_contract::{Direction, Precision, file_name};

use super::{bare::Bare, pipelines, summary::median};

/// The path of the generator to compare with if `REFERENCE` is not set.
const REFERENCE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models/reference_horse2zebra.onnx");
const SIDE: u32 = 256;
const ROUNDS: usize = 60;
const FILTER_ROUNDS: usize = 3;

struct Row {
    name: String,
    file: PathBuf,
    session_ms: Vec<f64>,
    /// Medians of the processes.
    frame_ms: Vec<f64>,
}

/// Prints the table.
pub fn compare(model: &Path) -> Result<(), Box<dyn Error>> {
    let mut rows = rows(model);
    let open = |row: &Row| Bare::new(&row.file, SIDE, SIDE);
    let mut sessions = rows.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    for round in 0..=ROUNDS {
        for (row, session) in rows.iter_mut().zip(&mut sessions) {
            let ms = session.run()?;
            // The first round is warm-up.
            row.session_ms.extend((round > 0).then_some(ms));
        }
    }
    drop(sessions);
    let caps = format!("video/x-raw,format=RGB,width={SIDE},height={SIDE}");
    for _ in 0..FILTER_ROUNDS {
        for row in &mut rows {
            row.frame_ms.push(pipelines::filter_frame_ms(&row.file, &caps)?);
        }
    }

    println!("Variants of {} at {SIDE}×{SIDE}, {ROUNDS} rounds\n", model.display());
    println!(
        "| generator | session ms | ratio to last row | filter ms a frame | frames a second |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let compared_with = rows.last().map_or(0.0, |row| median(&row.session_ms));
    for Row { name, session_ms, frame_ms, .. } in &rows {
        let (session, frame) = (median(session_ms), median(frame_ms));
        let (ratio, fps) = (session / compared_with, 1e3 / frame);
        println!("| {name} | {session:.1} | {ratio:.2} | {frame:.1} | {fps:.1} |");
    }
    println!();
    Ok(())
}

/// The float32 file and the variants beside it, and last the reference, if it exists.
fn rows(model: &Path) -> Vec<Row> {
    let row = |name: &str, file: PathBuf| Row {
        name: name.to_owned(),
        file,
        session_ms: Vec::new(),
        frame_ms: Vec::new(),
    };
    let mut rows = vec![row("float32", model.to_owned())];
    if model.ends_with(file_name(Direction::AToB, Precision::Fp32)) {
        for (name, precision) in [("int8", Precision::Int8), ("float16", Precision::Fp16)] {
            rows.push(row(name, model.with_file_name(file_name(Direction::AToB, precision))));
        }
    }
    let reference = PathBuf::from(env::var_os("REFERENCE").unwrap_or_else(|| REFERENCE.into()));
    rows.push(row("reference", reference));
    rows.retain(|row| row.file.is_file());
    rows
}
