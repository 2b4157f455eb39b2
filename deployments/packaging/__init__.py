"""The package of a model: a build context with a manifest, assembled so that equal parts give an equal digest."""
