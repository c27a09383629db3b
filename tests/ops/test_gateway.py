"""The gateway in front of the fleet: every request reaches its service, and nothing else passes."""
import httpx
from .conftest import *

def test_try(gateway, replicas):
    for p in ("/doctors/auth/login","/patients/health","/docs/patients","/patients/docs","/auth/docs","/patients/openapi.json", "/auth/openapi.json","/patients/api/v1/allergies"):
        a=httpx.get(gateway.url+p); print(p,a.status_code,a.text[:300]); print(a.text[-600:])
