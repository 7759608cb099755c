"""Scenes: rendered detection images of controlled difficulty, the embedded data set.

Every object carries, in its annotation, the factors that make it easy or hard (``FACTORS``), so a
claim about a distillation method can be tested where its cause is known.
"""

from kdviz.datasets.scenes.config import FACTORS as FACTORS
from kdviz.datasets.scenes.config import RENDERER as RENDERER
from kdviz.datasets.scenes.config import SceneConfig as SceneConfig
from kdviz.datasets.scenes.render import SceneObject as SceneObject
from kdviz.datasets.scenes.render import render as render
from kdviz.datasets.scenes.shapes import SHAPES as SHAPES
from kdviz.datasets.scenes.shapes import TWINS as TWINS
from kdviz.datasets.scenes.write import cached_scenes as cached_scenes
from kdviz.datasets.scenes.write import scene_record as scene_record
from kdviz.datasets.scenes.write import write_scenes as write_scenes
