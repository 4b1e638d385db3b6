//! `cinetomo man`: the manual, a page for each command.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use crate::{
    args::{Cli, Global},
    console::print,
    failure::{Failure, Result},
    outputs,
};

const EXAMPLES: &str = "\
Examples:
  cinetomo man | man -l -                               # read the first page
  cinetomo man -o ~/.local/share/man/man1               # then: man cinetomo-classify";

/// Prints the manual page, or writes those of all commands.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Man {
    /// Directory for the pages cinetomo.1, cinetomo-classify.1, ...; without it the first is printed
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Man {
    pub fn run(&self, global: &Global) -> Result<()> {
        let mut command = Cli::command();
        command.build();
        let Some(directory) = &self.output else {
            return print(&String::from_utf8_lossy(&page(command, "cinetomo")?));
        };
        let mut pages = vec![(directory.join("cinetomo.1"), page(command.clone(), "cinetomo")?)];
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let name = format!("cinetomo-{}", sub.get_name());
            pages.push((directory.join(format!("{name}.1")), page(sub.clone(), &name)?));
        }
        outputs::check(pages.iter().map(|(path, _)| Path::new(path)), global.force)?;
        for (path, text) in pages {
            cinetomo_formats::write(&path, &text)?;
        }
        Ok(())
    }
}

fn page(command: Command, name: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.name(name.to_owned()))
        .render(&mut text)
        .map_err(|error| Failure::Error(format!("{name}.1: {error}")))?;
    Ok(text)
}
