"""On which device do networks run, and how much memory is free there?"""

import streamlit as st

from controls import session
from explorer.running import devices
from explorer.wording import gigabytes


def device_form() -> None:
    """Which device runs the networks, and how much memory is free there."""
    found = {device.name: device for device in devices.devices()}
    if len(found) > 1:
        st.selectbox(
            "Device", list(found), format_func=lambda name: found[name].title, key="device", persist_state="session"
        )
    device = found[session.device()]
    st.caption(f":material/memory: {device.title}, {gigabytes(devices.free_lately(device.name))} free")
