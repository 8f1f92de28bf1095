"""What does each layer see in my image?"""

import streamlit as st

st.title("Feature maps")
