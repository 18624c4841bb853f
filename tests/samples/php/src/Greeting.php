<?php
// SPDX-License-Identifier: Apache-2.0

namespace Sample;

class Greeting
{
    public static function text(string $version): string
    {
        return "php $version";
    }
}
