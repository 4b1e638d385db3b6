//! `cinetomo embed`: what the network sees in each subtomogram, as numbers.

use std::path::PathBuf;

use cinetomo_formats::{csv::TableWriter, npy};
use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes},
    chunks::{Which, for_chunks},
    console::Console,
    failure::{Failure, Result},
    outputs,
    run_file::RunFile,
    session::Session,
};

const EXAMPLES: &str = "\
Outputs, by their extension; several may be named:
  .npy   an array [n, features] of 32-bit floats, rows in the order of the boxes
  .csv   path, f0, f1, ...

Examples:
  cinetomo embed -m tuned.safetensors -i boxes/ -o embeddings.npy
  python3 -c 'import numpy, umap; print(umap.UMAP().fit_transform(numpy.load(\"embeddings.npy\")))'";

/// Computes embeddings.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Embed {
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    boxes: BoxArgs,
    /// What to write: .npy, .csv
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true)]
    output: Vec<PathBuf>,
}

impl Embed {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check(self.output.iter().map(PathBuf::as_path), global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        // A network has some thousand features.
        let n_features = model.info()?.n_features as usize;
        let boxes = Boxes::open(&self.boxes, console)?;
        let (mut arrays, mut tables) = (Vec::new(), Vec::new());
        for path in &self.output {
            match outputs::extension(path).as_str() {
                "npy" => arrays.push(npy::Writer::create(path, boxes.len(), n_features)?),
                "csv" => {
                    let mut header = vec!["path".to_owned()];
                    header.extend((0..n_features).map(|index| format!("f{index}")));
                    tables.push(TableWriter::create(path, &header)?);
                }
                other => {
                    return Err(Failure::Usage(format!(
                        "--output {}: .{other} is no format of embeddings; expected .npy or .csv",
                        path.display()
                    )));
                }
            }
        }
        for_chunks(
            &session,
            &boxes,
            Which::Between([0, boxes.len()]),
            "embedding",
            |volume, hooks| model.embed(volume, hooks),
            |indices, features| {
                for array in &mut arrays {
                    array.push(&features)?;
                }
                if tables.is_empty() {
                    return Ok(());
                }
                for (&index, row) in indices.iter().zip(features.chunks(n_features)) {
                    let mut record = vec![boxes.name(index)];
                    record.extend(row.iter().map(f32::to_string));
                    for table in &mut tables {
                        table.push(&record)?;
                    }
                }
                Ok(())
            },
        )?;
        for array in arrays {
            array.finish()?;
        }
        for table in tables {
            table.finish()?;
        }
        for output in &self.output {
            run_file.write(output)?;
        }
        let shown: Vec<String> =
            self.output.iter().map(|path| path.display().to_string()).collect();
        let text =
            format!("{}: {} embeddings of {n_features} numbers", shown.join(", "), boxes.len());
        let json = json!({ "output": self.output, "n": boxes.len(), "n_features": n_features });
        console.result(&text, &json)
    }
}
