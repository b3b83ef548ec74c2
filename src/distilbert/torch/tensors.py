"""Between numpy arrays and tensors."""

from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor


def as_tensor(array: "np.ndarray[Any, Any]") -> Tensor:
    """A numpy array as a tensor over the same memory; numpy has bfloat16 only through ``ml_dtypes``."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def as_array(tensor: Tensor) -> "np.ndarray[Any, Any]":
    """A tensor as a numpy array, over the same memory where it is on the CPU."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
