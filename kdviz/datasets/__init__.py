"""Detection data sets on disk, and scenes rendered with known difficulty."""

from kdviz.datasets.check import check_path as check_path
from kdviz.datasets.coco import Category as Category
from kdviz.datasets.coco import DetectionData as DetectionData
from kdviz.datasets.coco import DetectionDataset as DetectionDataset
from kdviz.datasets.coco import read_coco as read_coco
from kdviz.datasets.folder import open_data as open_data
from kdviz.datasets.loader import eval_loader as eval_loader
from kdviz.datasets.loader import train_loader as train_loader
from kdviz.datasets.record import Problem as Problem
from kdviz.datasets.transforms import drop_crowd as drop_crowd
from kdviz.datasets.transforms import eval_preset as eval_preset
from kdviz.datasets.transforms import train_preset as train_preset
from kdviz.datasets.voc import read_voc as read_voc
from kdviz.datasets.yolo import read_yolo as read_yolo
