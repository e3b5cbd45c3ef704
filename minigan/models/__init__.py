"""Networks: generators from noise with their discriminators, and generators and discriminators for translation."""

from minigan.models.codec import *
from minigan.models.conditional import *
from minigan.models.dcgan import *
from minigan.models.mlp import *
from minigan.models.patchgan import *
from minigan.models.progressive import *
from minigan.models.rebuilt import *
from minigan.models.residual import *
from minigan.models.resnet import *
from minigan.models.style import *
from minigan.models.unet import *
from minigan.models.vgg import *
