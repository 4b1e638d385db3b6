//! What the paper measured (Jain, Li & Xu 2024, tables 1 and 2): accuracy in percent and AUC, for random numbers and for
//! video ("Ours"). Means of five runs; it states no deviations.

use clap::ValueEnum;

use super::Start;

/// A data set of table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Table1 {
    /// Simulated data: 10 classes of 500, SNR 0.03
    Simulated,
    /// Real data: 7 classes of 400 (Noble et al. 2018)
    Real,
}

/// Data set, percentage of labelled boxes, random accuracy and AUC, video accuracy and AUC.
const TABLE_1: [(Table1, f64, [f64; 2], [f64; 2]); 6] = [
    (Table1::Simulated, 25.0, [65.88, 0.9237], [81.88, 0.9733]),
    (Table1::Simulated, 100.0, [85.34, 0.9885], [87.38, 0.9905]),
    (Table1::Real, 5.0, [68.71, 0.91173], [87.90, 0.982]),
    (Table1::Real, 10.0, [77.55, 0.95792], [95.22, 0.9976]),
    (Table1::Real, 25.0, [90.78, 0.9923], [98.5, 0.9989]),
    (Table1::Real, 100.0, [98.67, 0.9998], [99.57, 0.9999]),
];

/// Name of a MedMNIST3D data set; the same of random numbers and video, all with 100 % of the labels.
const TABLE_2: [(&str, [f64; 2], [f64; 2]); 6] = [
    ("OrganMNIST3D", [90.26, 0.9937], [96.52, 0.9988]),
    ("SynapseMNIST3D", [82.89, 0.8674], [90.45, 0.9352]),
    ("VesselMNIST3D", [94.34, 0.917], [94.03, 0.9509]),
    ("NoduleMNIST3D", [86.25, 0.8786], [87.16, 0.883]),
    ("AdrenalMNIST3D", [82.88, 0.8615], [83.28, 0.8634]),
    ("FractureMNIST3D", [52.83, 0.696], [51.0, 0.6991]),
];

/// Which rows of the paper stand beside a run's.
#[derive(Clone, Debug, PartialEq)]
pub enum Beside {
    /// None.
    Nothing,
    /// Those of a data set of table 1.
    Table1(Table1),
    /// That of a data set of table 2.
    Table2(String),
}

impl Beside {
    /// The data set of MedMNIST3D that a file's name begins with, such as `organmnist3d_64.npz`.
    pub fn of_medmnist(stem: &str) -> Beside {
        let stem = stem.to_ascii_lowercase();
        let named = TABLE_2.iter().find(|(name, ..)| stem.starts_with(&name.to_ascii_lowercase()));
        named.map_or(Beside::Nothing, |(name, ..)| Beside::Table2((*name).to_owned()))
    }

    /// Accuracy in percent and AUC that the paper has for this percentage and start.
    pub fn numbers(&self, percent: f64, start: Start) -> Option<[f64; 2]> {
        let (random, video) = match self {
            Beside::Nothing => return None,
            Beside::Table1(table) => {
                let row = TABLE_1.iter().find(|row| row.0 == *table && row.1 == percent)?;
                (row.2, row.3)
            }
            Beside::Table2(name) => {
                let row = TABLE_2.iter().find(|row| row.0 == name && percent == 100.0)?;
                (row.1, row.2)
            }
        };
        match start {
            Start::Random => Some(random),
            Start::Video => Some(video),
            Start::Probe => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_rows_are_found() {
        let real = Beside::Table1(Table1::Real);
        assert_eq!(real.numbers(5.0, Start::Video), Some([87.90, 0.982]));
        assert_eq!(real.numbers(5.0, Start::Probe), None);
        assert_eq!(real.numbers(7.0, Start::Video), None);
        let organ = Beside::of_medmnist("organmnist3d_64");
        assert_eq!(organ.numbers(100.0, Start::Random), Some([90.26, 0.9937]));
        assert_eq!(Beside::of_medmnist("mine"), Beside::Nothing);
    }
}
