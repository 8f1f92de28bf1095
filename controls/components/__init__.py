"""Small pieces of a page that run in the browser, each a folder here: `<name>/<name>.js`, perhaps `<name>.css`.

    mount("copy_link")(key="copy_link", data={"title": "Copy link"})

The files are served by the server itself, so the page's policy needs no exception for them. A script exports one
function; what it is given is described at https://docs.streamlit.io/develop/api-reference/custom-components.
"""

from pathlib import Path
from threading import Lock

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest
from streamlit.components.v2.types import ComponentRenderer

FOLDER = Path(__file__).parent
OURS = "explorer"  # before each name, where Streamlit keeps those of all packages

_registering = Lock()


def mount(name: str) -> ComponentRenderer:
    """What draws a component. To be asked for in each run of the script: a server knows it from the first one on."""
    full, manager = f"{OURS}.{name}", get_bidi_component_manager()
    with _registering:  # once: a second time would take away what another visitor's page is about to draw
        if manager.get_component_asset_root(full) is None:
            manager.register_from_manifest(ComponentManifest(OURS, "", [ComponentConfig(name, name)]), FOLDER)
    style = f"{name}.css" if (FOLDER / name / f"{name}.css").exists() else None
    return st.components.v2.component(full, js=f"{name}.js", css=style)
