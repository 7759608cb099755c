"""Detection data sets on disk, and scenes rendered with known difficulty."""

from kdviz.datasets.coco import Category as Category
from kdviz.datasets.coco import DetectionData as DetectionData
from kdviz.datasets.coco import DetectionDataset as DetectionDataset
from kdviz.datasets.coco import read_coco as read_coco
from kdviz.datasets.loader import eval_loader as eval_loader
from kdviz.datasets.loader import train_loader as train_loader
from kdviz.datasets.transforms import drop_crowd as drop_crowd
from kdviz.datasets.transforms import eval_preset as eval_preset
from kdviz.datasets.transforms import train_preset as train_preset
