from .noting import has


class current_platform:  # noqa: N801 (its name there)
    @staticmethod
    def is_cpu():
        return not has("gpu")
