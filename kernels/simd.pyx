def level():
    return "baseline"
