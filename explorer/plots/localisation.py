"""Which method finds the object, drawn: a row a method, a dot for its mean and a line for its interval."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.analyses.attribution.localisation import CHANCE, EDGES

METHOD, REFERENCE = "#0072B2", "#7F7F7F"  # Okabe and Ito's blue, and grey for what needs no network
GUIDE = {"color": "#888888", "dash": "dash", "width": 1}
PANELS = {"energy": "Evidence on the object", "pointing": "Strongest pixel on it"}
ROW = 30  # pixels


def ranking(table: pd.DataFrame) -> go.Figure:
    """The table of localisation.Ranking: largest energy on top, chance as a line. What has no energy is left out."""
    rows = table.drop(index=CHANCE).dropna(subset="energy").sort_values("energy", ascending=False, kind="stable")
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=list(PANELS.values())
    )
    for column, measure in enumerate(PANELS, start=1):
        for name, colour, some in (
            ("methods", METHOD, rows.drop(index=EDGES, errors="ignore")),
            ("reference", REFERENCE, rows.loc[rows.index == EDGES]),
        ):
            mean, low, high = some[measure], some[f"{measure}_low"], some[f"{measure}_high"]
            figure.add_scatter(
                x=mean,
                y=some["title"],
                name=name,
                mode="markers",
                marker={"size": 10, "color": colour},
                error_x={"array": high - mean, "arrayminus": mean - low, "color": colour, "thickness": 2, "width": 0},
                customdata=pd.concat([low, high], axis=1),
                hovertemplate="%{y}: %{x:.1%}<br>95 % interval %{customdata[0]:.1%} to %{customdata[1]:.1%}"
                "<extra></extra>",
                cliponaxis=False,
                showlegend=False,
                row=1,
                col=column,
            )
        figure.add_vline(table.loc[CHANCE, measure], line=GUIDE, row=1, col=column)
    figure.add_annotation(
        x=table.loc[CHANCE, "energy"], y=len(rows) - 0.3, xanchor="left", text="chance", showarrow=False, row=1, col=1
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", dtick=0.25, zeroline=False)
    # half a row more above the first one, for what the line is called
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(rows["title"])[::-1], range=[-0.6, len(rows)], showgrid=True
    )
    figure.update_layout(
        height=90 + ROW * max(1, len(rows)), margin={"l": 0, "r": 16, "t": 30, "b": 30}, dragmode=False
    )
    return figure
