"""Thin ipywidgets shells over the figures; each leaves a static picture."""

from kdviz.widgets.controls import Control as Control
from kdviz.widgets.controls import make_control as make_control
from kdviz.widgets.controls import thumbnails as thumbnails
from kdviz.widgets.diagnosis import explore_confusion as explore_confusion
from kdviz.widgets.diagnosis import explore_transitions as explore_transitions
from kdviz.widgets.explorers import explore_detections as explore_detections
from kdviz.widgets.explorers import explore_maps as explore_maps
from kdviz.widgets.interactive import InteractiveFigure as InteractiveFigure
from kdviz.widgets.interactive import interactive_figure as interactive_figure
from kdviz.widgets.object_cells import explore_assignment as explore_assignment
from kdviz.widgets.swap import explore_swaps as explore_swaps
