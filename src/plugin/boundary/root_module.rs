//! The same table for Rust hosts that load plugins through abi_stable: one root module with one field.

use abi_stable::{export_root_module, prefix_type::PrefixTypeTrait};
use cinetomo_abi::{cinetomo_root_module, cinetomo_root_module_Ref};

/// abi_stable checks the layout of everything behind the table before it hands it out.
#[export_root_module]
fn root_module() -> cinetomo_root_module_Ref {
    cinetomo_root_module { api: &super::table::API }.leak_into_prefix()
}
