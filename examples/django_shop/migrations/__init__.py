"""Of the shop's own tables; convstore's come by `convstore db upgrade`."""
