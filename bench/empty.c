/* SPDX-License-Identifier: MIT */
/* The yardstick of startup.c: what starting any program costs. */
int main(void)
{
    return 0;
}
