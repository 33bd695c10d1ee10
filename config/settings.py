"""Settings: one file, driven by the environment. Names and meanings: README, "Going live"."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import logs, postgres
from config.env import (
    DNS_OFFSET,
    POST_OFFSET,
    build_options,
    database,
    dns_servers,
    local_secrets,
    login_password,
    mail_probe,
    origin,
    platform_settings,
)

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

# ---- mode ------------------------------------------------------------------------------------------------------------

PLATFORM_MODE = env.str("PLATFORM_MODE", default="sandbox")
if PLATFORM_MODE not in ("sandbox", "live"):
    raise ImproperlyConfigured("PLATFORM_MODE is `sandbox` or `live`.")
SANDBOX = PLATFORM_MODE == "sandbox"
DEBUG = env.bool("DEBUG", default=False)
SITE_URL = env.str("SITE_URL", default="http://127.0.0.1:8000" if SANDBOX else "").rstrip("/")
HTTPS = SITE_URL.startswith("https://")
ENABLED_STACKS = env.list("ENABLED_STACKS", default=["zapmail", "forge", "workspace"] if SANDBOX else ["zapmail"])

_local = local_secrets(VAR_DIR / "local.env", create="SECRET_KEY" not in env.ENVIRON) if SANDBOX else {}
SECRET_KEY = env.str("SECRET_KEY", default=_local.get("SECRET_KEY", ""))
FIELD_ENCRYPTION_KEYS = env.list(
    "FIELD_ENCRYPTION_KEYS", default=[key for key in [_local.get("FIELD_ENCRYPTION_KEYS")] if key]
)
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is missing.")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

# ---- platforms -------------------------------------------------------------------------------------------------------

SANDBOX_URL = env.str("SANDBOX_URL", default="http://127.0.0.1:9100")
SANDBOX_CONTROL_URL = env.str("SANDBOX_CONTROL_URL", default="http://127.0.0.1:9101")
PLATFORMS = platform_settings(sandbox_url=SANDBOX_URL if SANDBOX else None)
STRIPE_API_URL = PLATFORMS.get("STRIPE_API_URL", "https://api.stripe.com")
STRIPE_SECRET_KEY = PLATFORMS.get("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = PLATFORMS.get("STRIPE_WEBHOOK_SECRET", "")
# Where a form of ours may lead: browsers apply the policy to the redirect that follows it.
CHECKOUT_ORIGINS = env.list(
    "CHECKOUT_ORIGINS",
    default=[origin(STRIPE_API_URL)] if SANDBOX else ["https://checkout.stripe.com", "https://billing.stripe.com"],
)
BUILD_OPTIONS = build_options(sandbox=SANDBOX)
PROVISIONING_TIME_SCALE = env.float("PROVISIONING_TIME_SCALE", default=1.0)
SANDBOX_DNS_PORT = env.int("SANDBOX_DNS_PORT", default=(urlsplit(SANDBOX_URL).port or 9100) + DNS_OFFSET)
_resolvers, _authoritative = dns_servers(SANDBOX_DNS_PORT if SANDBOX else None)
DNS_RESOLVERS = env.list("DNS_RESOLVERS", default=_resolvers)
DNS_AUTHORITATIVE = env.list("DNS_AUTHORITATIVE", default=_authoritative)
DNS_TIMEOUT = env.float("DNS_TIMEOUT", default=3.0)
DNS_SECONDS = env.float("DNS_SECONDS", default=5.0)

SANDBOX_POST_PORT = env.int("SANDBOX_POST_PORT", default=(urlsplit(SANDBOX_URL).port or 9100) + POST_OFFSET)
MAIL_PROBE = mail_probe(SANDBOX_POST_PORT if SANDBOX else None)  # PROBE_ADDRESS and its siblings

# ---- database --------------------------------------------------------------------------------------------------------

EMBEDDED_DATABASE = "DATABASE_URL" not in env.ENVIRON
EMBEDDED_DATA_DIR = VAR_DIR / "postgres"
DATABASE_URL = postgres.url(EMBEDDED_DATA_DIR) if EMBEDDED_DATABASE else env.str("DATABASE_URL")
DATABASE_LOGIN_PASSWORD = env.str("DATABASE_LOGIN_PASSWORD", default=login_password(SECRET_KEY))
# The role a connection of this process begins with; web processes begin, and fall back to, the one that may do nothing.
DATABASE_DEFAULT_ROLE = env.str("GTM_DATABASE_ROLE", default="visitor").removeprefix("gtm_")
DATABASES = {
    "default": database(
        DATABASE_URL, as_owner=env.bool("GTM_DATABASE_OWNER", default=False), password=DATABASE_LOGIN_PASSWORD
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---- applications ----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "infra",
    "billing",
    "provisioning",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_q",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "infra.rls.VisitorRoleMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "infra.rls.DatabaseRoleMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "infra.shell.shell",
            ],
        },
    },
]

AUTH_USER_MODEL = "infra.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# ---- words and times: stored in UTC, one language shipped, more by adding it here ------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]

# What the pages say of the bootcamp around them, and where its other pages are.
BOOTCAMP_NAME = env.str("BOOTCAMP_NAME", default="Sales Bootcamp")
AI_TOOLS_URL = env.str("AI_TOOLS_URL", default="")
ENROLMENT_CONTACT = env.str("ENROLMENT_CONTACT", default="")
SENDING_TOOL_URL = env.str("SENDING_TOOL_URL", default="https://app.plusvibe.ai/")
SALESFORGE_TOOL_URL = env.str("SALESFORGE_TOOL_URL", default="https://app.salesforge.ai/")
SMARTLEAD_TOOL_URL = env.str("SMARTLEAD_TOOL_URL", default="https://app.smartlead.ai/")
LEAD_TOOL_URL = env.str("LEAD_TOOL_URL", default="https://app.heyreach.io/")

# ---- static files ----------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
MEDIA_URL = "/media/"  # nobody uploads anything; empty, the test server would take every address for a file
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# ---- browser security ------------------------------------------------------------------------------------------------

_site_host = origin(SITE_URL).split("://", 1)[-1].rsplit(":", 1)[0]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", _site_host] if SANDBOX else [])
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
SESSION_ENGINE = "config.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Browsers take a `__Host-` cookie from this very host over https only, so no sibling host can plant one.
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How many proxies of ours stand before the web server: so many entries of X-Forwarded-For are believed, from the right.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF, *CHECKOUT_ORIGINS],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

# ---- endings that a stack's registrar takes; without one of these, what `infra.naming` says -------------------------------

# InfraForge publishes no list: .com is seen to be sold, the other four are what registrars take as a rule.
SOLD_ENDINGS = {
    "zapmail": env.list("ZAPMAIL_ENDINGS", default=[]),
    "forge": env.list("INFRAFORGE_ENDINGS", default=["com", "net", "org", "biz", "info"]),
}
# Of domains that a student brings along; empty: all.
OWN_ENDINGS = {"forge": env.list("INFRAFORGE_OWN_ENDINGS", default=SOLD_ENDINGS["forge"])}

# ---- an overdue payment: days from the first failed attempt to the reminder, the suspension and the end --------------

BILLING_GRACE_DAYS = env.int("BILLING_GRACE_DAYS", default=3)
BILLING_SUSPEND_DAYS = env.int("BILLING_SUSPEND_DAYS", default=7)
BILLING_TERMINATE_DAYS = env.int("BILLING_TERMINATE_DAYS", default=28)
if not 0 < BILLING_GRACE_DAYS < BILLING_SUSPEND_DAYS < BILLING_TERMINATE_DAYS - BILLING_GRACE_DAYS:
    raise ImproperlyConfigured(
        "BILLING_GRACE_DAYS, BILLING_SUSPEND_DAYS and BILLING_TERMINATE_DAYS follow each other; the last notice comes"
        " BILLING_GRACE_DAYS before the end, after the suspension."
    )

# ---- e-mail ----------------------------------------------------------------------------------------------------------

if SANDBOX or "EMAIL_URL" in env.ENVIRON:
    vars().update(env.email_url("EMAIL_URL", default="smtp://127.0.0.1:9102"))
EMAIL_TIMEOUT = 20
OPERATOR_EMAIL = env.str("OPERATOR_EMAIL", default="operator@demo.example" if SANDBOX else "")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=OPERATOR_EMAIL)
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# ---- workers: docs/decisions/0004 ------------------------------------------------------------------------------------

Q_CLUSTER: dict[str, Any] = {
    "name": "gtm",
    "orm": "default",
    "workers": env.int("WORKERS", default=8),
    "timeout": 150,
    "retry": 600,
    "queue_limit": 8,
    "bulk": 1,
    "ack_failures": True,
    "save_limit": -1,
    "poll": 0.1,
    "recycle": 500,
    "catch_up": False,
    "scheduler": False,
    "label": "Queue",
}
if sys.platform.startswith("linux"):
    Q_CLUSTER["max_rss"] = 250_000  # kilobytes there; bytes on macOS, where every task would recycle its worker

# ---- API -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "GTM Infrastructure",
    "DESCRIPTION": "Order and follow a cold-email infrastructure.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

# ---- watching --------------------------------------------------------------------------------------------------------

LOGGING = logs.config(env.str("LOG_LEVEL", default="INFO"))
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# From when on the operator is told (provisioning/alerts.py): records that their own name servers do not show, a wake-up,
# the share of steps that fail within an hour, domains whose DNS nobody comes to look at.
ALERT_PROPAGATION_MINUTES = env.float("ALERT_PROPAGATION_MINUTES", default=30)
ALERT_ACTION_SECONDS = env.float("ALERT_ACTION_SECONDS", default=50)
ALERT_ERROR_PERCENT = env.float("ALERT_ERROR_PERCENT", default=3)
ALERT_DNS_BACKLOG = env.int("ALERT_DNS_BACKLOG", default=50)
# infra.User.email is unique by its lower-case form, which the check for a unique login name does not see.
SILENCED_SYSTEM_CHECKS = ["auth.E003"]
