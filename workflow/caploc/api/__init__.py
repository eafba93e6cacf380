"""Locate, silence and measure an ability of a model in a notebook.

    import caploc
    found = caploc.locate(model, tokenizer, pairs)
    with caploc.silenced(model, found):
        model.generate(...)

The model is any transformers decoder that caploc knows; it is left exactly as it was. The stages of
the workflow call the same functions on files.
"""
