"""Formulas as MathML, made by docutils while the page is built: no script, no font and no network to read them."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def _mathml(node, block):
    tex = node.astext().strip()
    try:
        return tex2mathml(tex, as_block=block)
    except MathError as error:  # under -W the warning ends the build
        logger.warning("formula %r is not understood: %s", tex, error, location=node)
        return f"<code>{tex}</code>"


def _inline(translator, node):
    """`$...$`."""
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _block(translator, node):
    """`$$...$$`."""
    translator.body.append(f'<div class="math">{_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register as html_math_renderer = "mathml"."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}
