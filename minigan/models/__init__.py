"""Networks: pairs of a generator and a discriminator for noise, and generators and discriminators for translation."""

from minigan.models.dcgan import dcgan
from minigan.models.mlp import mlp
from minigan.models.patchgan import MultiScaleDiscriminator, PatchDiscriminator, layers_for
from minigan.models.rebuilt import combined, generator_of
from minigan.models.residual import Grey, Residual
from minigan.models.resnet import EncoderDecoder, ResnetDecoder, ResnetEncoder, ResnetGenerator, blocks_for
from minigan.models.unet import UnetGenerator, depth_for

__all__ = ["EncoderDecoder", "Grey", "MultiScaleDiscriminator", "PatchDiscriminator", "Residual", "ResnetDecoder",
           "ResnetEncoder", "ResnetGenerator", "UnetGenerator", "blocks_for", "combined", "dcgan", "depth_for",
           "generator_of", "layers_for", "mlp"]
