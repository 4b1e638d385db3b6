//! The root module that Rust hosts load through abi_stable.
#![allow(missing_docs, reason = "abi_stable's derive makes public items without docs")]

use abi_stable::{
    StableAbi, declare_root_module_statics, library::RootModule, package_version_strings,
    sabi_types::VersionStrings,
};

use super::cinetomo_api;

/// One field: the function table, layout-checked when the library is loaded.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = cinetomo_root_module_Ref)))]
#[sabi(missing_field(panic))]
pub struct cinetomo_root_module {
    /// The table of `cinetomo_get_api(1)`.
    #[sabi(last_prefix_field)]
    pub api: &'static cinetomo_api,
}

impl RootModule for cinetomo_root_module_Ref {
    declare_root_module_statics! {cinetomo_root_module_Ref}
    const BASE_NAME: &'static str = "cinetomo";
    const NAME: &'static str = "cinetomo";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
