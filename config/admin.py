"""The last admin module to be imported: takes the queue's own pages away.

`Schedule` runs any function by its dotted path, and `Task` unpickles what it shows. What the queue does is seen on runs.
"""

from __future__ import annotations

from django.contrib import admin

for model in [model for model in admin.site._registry if model._meta.app_label == "django_q"]:
    admin.site.unregister(model)
