//! `cinetomo completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{args::Cli, console::print, failure::Result};

const EXAMPLES: &str = "\
Examples:
  cinetomo completions bash > ~/.local/share/bash-completion/completions/cinetomo
  cinetomo completions zsh > ~/.zfunc/_cinetomo        # with ~/.zfunc in $fpath
  cinetomo completions fish > ~/.config/fish/completions/cinetomo.fish";

/// Prints completions.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cinetomo", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
