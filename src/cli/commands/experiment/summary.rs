//! The table of an experiment, in the shape of the paper's table 1, with its numbers beside.

use serde_json::{Value, json};

use super::{Start, paper::Beside, records::Record};
use crate::commands::evaluate::number;

/// Mean and standard deviation of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean; NaN of none.
    pub mean: f64,
    /// Of the sample (n - 1); NaN of fewer than two.
    pub deviation: f64,
}

impl Spread {
    /// Of these values, those that are none left out.
    pub fn of(values: impl Iterator<Item = f64>) -> Spread {
        let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { f64::NAN };
        Spread { mean, deviation }
    }

    fn text(self, digits: usize) -> String {
        let Spread { mean, deviation } = self;
        match (mean.is_nan(), deviation.is_nan()) {
            (true, _) => "-".to_owned(),
            (false, true) => format!("{mean:.digits$}"),
            (false, false) => format!("{mean:.digits$} ± {deviation:.digits$}"),
        }
    }
}

/// A row: all runs of one fraction and start.
#[derive(Clone, Debug)]
pub struct Row {
    dataset: String,
    percent: f64,
    start: Start,
    n_runs: usize,
    n_failed: usize,
    accuracy: Spread,
    macro_auc: Spread,
    train_s: Spread,
    paper: Option<[f64; 2]>,
}

/// The rows, by fraction and start.
pub fn rows(records: &[Record], beside: &Beside) -> Vec<Row> {
    let mut keys: Vec<(&str, f64, Start)> = Vec::new();
    for record in records {
        let key = (record.dataset.as_str(), record.fraction, record.start);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let row = |(dataset, fraction, start): (&str, f64, Start)| {
        let runs: Vec<&Record> = records
            .iter()
            .filter(|record| record.is_of(dataset, fraction, start, record.seed))
            .collect();
        // Fractions are typed as decimals: 0.05 times 100 is 5 when it is rounded.
        let percent = (fraction * 1e8).round() / 1e6;
        let score = |index: usize| runs.iter().map(move |record| record.scores[index]);
        Row {
            dataset: dataset.to_owned(),
            percent,
            start,
            n_runs: runs.len(),
            n_failed: runs.iter().filter(|record| record.scores[0].is_nan()).count(),
            accuracy: Spread::of(score(0).map(|accuracy| 100.0 * accuracy)),
            macro_auc: Spread::of(score(1)),
            train_s: Spread::of(runs.iter().map(|record| record.seconds[0])),
            paper: beside.numbers(percent, start),
        }
    };
    keys.into_iter().map(row).collect()
}

/// The cells of the table, and its header.
pub fn cells(rows: &[Row]) -> ([&'static str; 8], Vec<Vec<String>>) {
    let header = [
        "dataset",
        "(%) labelled",
        "initialization",
        "accuracy (%)",
        "AUC",
        "paper: accuracy (%)",
        "paper: AUC",
        "runs",
    ];
    let cells = rows.iter().map(|row| {
        let paper = |index: usize, digits: usize| match row.paper {
            Some(numbers) => format!("{:.digits$}", numbers[index]),
            None => "-".to_owned(),
        };
        let failed =
            if row.n_failed > 0 { format!(" ({} failed)", row.n_failed) } else { String::new() };
        vec![
            row.dataset.clone(),
            row.percent.to_string(),
            row.start.to_string(),
            row.accuracy.text(2),
            row.macro_auc.text(4),
            paper(0, 2),
            paper(1, 4),
            format!("{}{failed}", row.n_runs),
        ]
    });
    (header, cells.collect())
}

/// The table in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let (header, cells) = cells(rows);
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&header) + &line(&["---"; 8]);
    for row in &cells {
        text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text += "\nMean ± standard deviation of the runs. Paper: Jain, Li & Xu 2024, tables 1 and 2.\n";
    text
}

/// The rows as JSON.
pub fn to_json(rows: &[Row]) -> Value {
    let spread =
        |spread: Spread| json!({ "mean": number(spread.mean), "sd": number(spread.deviation) });
    rows.iter()
        .map(|row| {
            json!({
                "dataset": row.dataset,
                "percent_labelled": row.percent,
                "start": row.start.to_string(),
                "n_runs": row.n_runs,
                "n_failed": row.n_failed,
                "accuracy_percent": spread(row.accuracy),
                "macro_auc": spread(row.macro_auc),
                "train_s": spread(row.train_s),
                "paper": row.paper.map(|[accuracy, auc]| json!({ "accuracy_percent": accuracy, "auc": auc })),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_the_sample() {
        // By hand: mean 2, squares 1 + 0 + 1, over n - 1 = 2.
        let spread = Spread::of([1.0, 2.0, f64::NAN, 3.0].into_iter());
        assert_eq!(spread, Spread { mean: 2.0, deviation: 1.0 });
        assert_eq!(spread.text(2), "2.00 ± 1.00");
        assert_eq!(Spread::of([0.5].into_iter()).text(2), "0.50");
        assert_eq!(Spread::of(std::iter::empty()).text(2), "-");
    }
}
